"""Events: the search, one pass, and what is found as a file."""

from collections.abc import Iterator
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from plateid.store.export import csv_lines, json_lines
from plateid.store.search import FIELDS, QueryError, find, find_all, find_pass, parse_query
from plateid.web import event_images as snapshots
from plateid.web.site import page, site_of


def search(request: Request) -> Response:
    """The form, and what it finds."""
    fields = _fields(request)
    try:
        found, problem = find(site_of(request).history, parse_query(fields)), ""
    except QueryError as error:
        found, problem = None, str(error)
    filters = {name: value for name, value in fields.items() if name != "after"}
    return page(
        request,
        "events.html",
        status=400 if problem else 200,
        fields=dict.fromkeys(FIELDS, "") | fields,
        found=found,
        problem=problem,
        older=urlencode(filters | {"after": found.after}) if found else "",
        filters=urlencode(filters),
    )


def detail(request: Request) -> Response:
    """One pass: all of its events."""
    events = find_pass(site_of(request).history, request.path_params["id"])
    if not events:
        raise HTTPException(404)
    last = events[-1]
    characters = list(zip(last["plate"], last["char_confidences"], strict=False))
    store = site_of(request).history.path
    return page(
        request,
        "event.html",
        events=events,
        event=last,
        characters=characters,
        image=snapshots.file_of(store, last),
        legible=snapshots.file_of(store, last, legible=True),
    )


def as_csv(request: Request) -> Response:
    """What a search finds, a row a pass."""
    query = parse_query(_fields(request))
    events = find_all(site_of(request).history, query)
    return _file(csv_lines(events), "text/csv; charset=utf-8", "events.csv")


def as_json(request: Request) -> Response:
    """What a search finds, an event a line."""
    query = parse_query(_fields(request))
    events = find_all(site_of(request).history, query)
    return _file(json_lines(events), "application/x-ndjson", "events.json")


def _fields(request: Request) -> dict[str, str]:
    """Of the form's fields those that say something."""
    return {name: value for name, value in request.query_params.items() if value}


def _file(lines: Iterator[str], kind: str, name: str) -> Response:
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(lines, media_type=kind, headers=disposition)
