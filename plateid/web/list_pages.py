"""The page "Lists": shows the entries, and changes the list file with undo."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from plateid.errors import ConfigError, StoreError
from plateid.files import is_replaceable
from plateid.store.history import History
from plateid.store.list_csv import COLUMNS, rows_of, with_row, without_row
from plateid.store.list_file import ListChange, read_text, state_of, write_text
from plateid.web.error_pages import log_change
from plateid.web.guard import read_change
from plateid.web.site import Site, page, site_of

MAX_ROWS = 1000
"""Maximum number of entries that the page shows: 1 MB of HTML."""


class StaleError(ValueError):
    """The list file has changed since the page was loaded."""


def show(request: Request) -> Response:
    """Shows the entries and the form."""
    return _page(request, site_of(request), problem="")


def _page(
    request: Request, site: Site, *, problem: str, cells: Mapping[str, str] | None = None
) -> Response:
    file = site.config.lists.file
    text = read_text(file) if file else ""
    try:
        rows = rows_of(text)
    except ValueError as error:
        rows, problem = {}, f"{file}: {error}"
    edited = request.query_params.get("row", "") or (cells or {}).get("row", "")
    return page(
        request,
        "lists.html",
        status=400 if problem else 200,
        file=file,
        writable=file is not None and is_replaceable(file.resolve()),
        rows=rows,
        shown=dict(islice(rows.items(), MAX_ROWS)),
        state=state_of(text),
        seen=_last_seen(site.history),
        undo=site.undo.last(text),
        problem=problem,
        cells=dict.fromkeys(COLUMNS, "") | dict(cells) if cells else None,
        chosen=next((number for number in rows if str(number) == edited), None),
    )


async def change(request: Request) -> Response:
    """Adds, replaces or deletes an entry, or undoes the last change."""
    site = site_of(request)
    form = await read_change(request)
    if (file := site.config.lists.file) is None:
        raise HTTPException(404, "lists.file is not set")
    try:
        await run_in_threadpool(_change, site, file, form)
    except StaleError as error:  # row numbers have changed: the form must not be offered again
        return await run_in_threadpool(_page, request, site, problem=str(error))
    except (ConfigError, ValueError) as error:
        return await run_in_threadpool(_page, request, site, problem=str(error), cells=form)
    log_change(request, "list changed in the web UI", change=form["do"], file=str(file))
    return RedirectResponse("/lists", 303)


def _change(site: Site, file: Path, form: Mapping[str, str]) -> None:
    undo = site.undo
    with site.changing:
        before = read_text(file)
        if form.get("state") != state_of(before):
            raise StaleError("The list has changed since you loaded this page. Please check it.")
        if form.get("do") == "undo":
            if (done := undo.last(before)) is None:
                raise ValueError("There is nothing to undo.")
            write_text(file, done.before, site.cameras)
            undo.pop()
            return
        after, description = _changed(before, form)
        write_text(file, after, site.cameras)
        undo.append(ListChange(description, before, after))


def _changed(before: str, form: Mapping[str, str]) -> tuple[str, str]:
    """Returns the new text of the file and a description of the change."""
    rows = rows_of(before)
    row = form.get("row", "")
    number = next((number for number in rows if str(number) == row), None)
    if row and number is None:
        raise ValueError("There is no such row.")
    if form.get("do") == "delete" and number is not None:
        return without_row(before, number), f"delete {rows[number]['plate']}"
    if form.get("do") != "save":
        raise ValueError("do: must be save, delete or undo")
    cells = {column: form.get(column, "").strip() for column in COLUMNS}
    if number is None:
        return with_row(before, None, cells), f"add {cells['plate']}"
    return with_row(before, number, cells), f"edit {rows[number]['plate']}"


def _last_seen(history: History) -> dict[str, str] | None:
    """Returns the time of the last pass by entry name; None if the store cannot be read."""
    try:
        return history.last_seen()
    except StoreError:
        return None
