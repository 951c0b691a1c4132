"""The page "Lists": shows, searches, imports and exports entries, with undo of changes."""

from collections.abc import Callable, Mapping
from itertools import islice

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from plateid.config.outputs import CREATED_LISTS
from plateid.core.lists import compact
from plateid.errors import ConfigError, StoreError, os_errors_as
from plateid.files import is_replaceable
from plateid.store import list_csv
from plateid.store.audit_log import differing_lines
from plateid.store.list_file import ListChange, read_text, state_of, write_text
from plateid.web.error_pages import log_change
from plateid.web.guard import read_change
from plateid.web.site import Site, download, page, site_of

MAX_ROWS = 1000
"""Maximum number of entries that the page shows: 1 MB of HTML."""
MAX_IMPORT_BYTES = 8_000_000
"""Maximum size of a form with a list, bytes: 100,000 entries."""
MOMENTS = ("valid_from", "valid_to")
"""Columns whose cells the form shows as a day and a time."""
Row = dict[str, str]


class StaleError(ValueError):
    """The list file has changed since the page was loaded."""


def show(request: Request) -> Response:
    """Shows the entries and the form, which may name a plate to add."""
    plate = request.query_params.get("plate", "")[:40]
    return _page(request, site_of(request), problem="", cells={"plate": plate} if plate else None)


def _page(
    request: Request, site: Site, *, problem: str, cells: Mapping[str, str] | None = None
) -> Response:
    file = site.config.lists.file
    text = read_text(file) if file else ""
    try:
        rows = list_csv.rows_of(text)
    except ValueError as error:
        rows, problem = {}, f"{file}: {error}"
    wanted = request.query_params.get("q", "").strip()
    found = {number: row for number, row in rows.items() if _contains(row, wanted)}
    shown = dict(islice(found.items(), MAX_ROWS))
    edited = request.query_params.get("row", "") or (cells or {}).get("row", "")
    chosen = next((number for number in rows if str(number) == edited), None)
    return page(
        request,
        "lists.html",
        file=file,
        writable=file is None or is_replaceable(file.resolve()),
        wanted=wanted,
        rows=rows,
        found=found,
        shown=shown,
        state=state_of(text),
        seen=_last_seen(site, shown),
        undo=site.undo.last(text),
        problem=problem,
        cells=_form_cells(cells or rows.get(chosen, list_csv.EMPTY)),  # type: ignore[arg-type]
        imported=(cells or {}).get("csv", ""),
        chosen=chosen,
    )


def _contains(row: Row, wanted: str) -> bool:
    cells = " ".join(row.values()).casefold()
    plate = compact(wanted)
    return wanted.casefold() in cells or bool(plate and plate in compact(row["plate"]))


def _form_cells(cells: Mapping[str, str]) -> Row:
    shown = list_csv.EMPTY | dict(cells)
    for name in MOMENTS:
        if f"{name}_time" not in shown:
            shown[name], shown[f"{name}_time"] = list_csv.day_and_time(shown[name])
    return shown


def export(request: Request) -> Response:
    """Returns the entries as a CSV file that can be imported again."""
    if (file := site_of(request).config.lists.file) is None:
        raise HTTPException(404, "there is no list")
    return download([list_csv.export_text(read_text(file))], "text/csv", "lists.csv")


async def change(request: Request) -> Response:
    """Creates the list, changes or imports entries, or undoes the last change."""
    site = site_of(request)
    form = await read_change(request, MAX_IMPORT_BYTES)
    try:
        done = await run_in_threadpool(_change, site, form)
    except StaleError as error:  # row numbers have changed: the form must not be offered again
        return await run_in_threadpool(_page, request, site, problem=str(error))
    except (ConfigError, ValueError) as error:
        return await run_in_threadpool(_page, request, site, problem=str(error), cells=form)
    await run_in_threadpool(
        log_list_change, request, "list changed in the web UI", form["do"], done
    )
    return RedirectResponse("/lists", 303)


def log_list_change(request: Request, event: str, kind: str, done: ListChange) -> None:
    """Logs a change; only the audit log gets the lines that differ."""
    before, after = differing_lines(done.before, done.after)
    file = str(site_of(request).config.lists.file)
    log_change(request, event, change=kind, file=file, before=before, after=after)


def change_list(site: Site, edit: Callable[[str], tuple[str, str]]) -> ListChange:
    """Changes the list file, so that it can be undone.

    `edit` gets the text of the file, and returns the new text and a description of the change.
    Raises HTTPException 404 if there is no list; otherwise as `write_text` and `edit`.
    """
    if (file := site.config.lists.file) is None:
        raise HTTPException(404, "there is no list: create one on the page Lists")
    with site.changing:
        before = read_text(file)
        after, description = edit(before)
        done = ListChange(description, before, after)
        if after != before:
            write_text(file, after, site.cameras, before=before)
            site.undo.append(done)
        return done


def _change(site: Site, form: Mapping[str, str]) -> ListChange:
    if form.get("do") == "create":
        return _create(site)
    if form.get("do") == "undo":
        return _undo(site, form)

    def edit(before: str) -> tuple[str, str]:
        _check_state(before, form)
        if form.get("do") in ("add", "replace"):
            list_csv.parse_entries(form.get("csv", ""), "import", site.cameras)
        return _changed(before, form)

    return change_list(site, edit)


def _check_state(before: str, form: Mapping[str, str]) -> None:
    if form.get("state") != state_of(before):
        raise StaleError("The list has changed since you loaded this page. Please check it.")


def _undo(site: Site, form: Mapping[str, str]) -> ListChange:
    """Writes what the last change replaced, though it may have conflicts."""
    file = site.config.lists.file
    with site.changing:
        before = read_text(file) if file else ""
        _check_state(before, form)
        if file is None or (last := site.undo.last(before)) is None:
            raise ValueError("There is nothing to undo.")
        write_text(file, last.before, site.cameras)
        site.undo.pop()
        return ListChange("undo", before, last.before)


def _create(site: Site) -> ListChange:
    """Creates an empty list file beside the store, which the service uses after a reload."""
    file = site.config.store.path.with_name(CREATED_LISTS)
    header = ",".join(list_csv.COLUMNS) + "\n"
    if site.config.lists.file is None:
        with os_errors_as(ConfigError, file), file.open("x", encoding="utf-8") as stream:
            stream.write(header)
        lists = site.config.lists.model_copy(update={"file": file})
        site.config = site.config.model_copy(update={"lists": lists})
        site.hooks.reload()
    return ListChange("create", "", header)


def _changed(before: str, form: Mapping[str, str]) -> tuple[str, str]:
    rows = list_csv.rows_of(before)
    row = form.get("row", "")
    number = next((number for number in rows if str(number) == row), None)
    if row and number is None:
        raise ValueError("There is no such row.")
    match form.get("do"), number:
        case "delete", int():
            return list_csv.without_row(before, number), f"delete {rows[number]['plate']}"
        case "add", None:
            return list_csv.with_file(before, form.get("csv", "")), "import"
        case "replace", None:
            return list_csv.with_file("", form.get("csv", "")), "import of a whole list"
        case "save", _:
            cells = _cells(form)
            done = f"add {cells['plate']}" if number is None else f"edit {rows[number]['plate']}"
            return list_csv.with_rows(before, [(number, cells)]), done
    raise ValueError("do: must be create, save, delete, add, replace or undo")


def _cells(form: Mapping[str, str]) -> Row:
    cells = {column: form.get(column, "").strip() for column in list_csv.COLUMNS}
    for name in MOMENTS:
        if hour := form.get(f"{name}_time", "").strip():
            cells[name] = f"{cells[name]}T{hour}"
    return cells


def _last_seen(site: Site, rows: Mapping[int, Row]) -> dict[str, str] | None:
    names = {compact(row["plate"]): row["name"] or row["plate"] for row in rows.values()}
    try:
        return site.history.last_seen(names, site.config.lists.max_distance)
    except StoreError:
        return None
