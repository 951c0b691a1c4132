"""The pages "Events" and "Event", exports, and the images of an event."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import cv2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from plateid.core.drawing import encode_jpeg
from plateid.core.geometry import clipped, expanded
from plateid.core.records import Box, Image
from plateid.store.event_images import plate_box, read_image, snapshot_file
from plateid.store.search import csv_lines, find, find_all, find_pass, json_lines
from plateid.store.search_query import FIELDS, QueryError, parse_query
from plateid.web.site import Site, page, site_of

MARGIN_X, MARGIN_Y = 0.25, 0.6
"""Margins that a crop shows around the plate, in widths and heights of its box."""
CROP_HEIGHT_PX = 160
"""Height to which smaller crops are enlarged."""
CROP_QUALITY = 90
"""JPEG quality of crops."""


def search(request: Request) -> Response:
    """Shows the search form and one page of results."""
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
    """Shows one pass with all of its events."""
    site = site_of(request)
    events = find_pass(site.history, request.path_params["id"])
    if not events:
        raise HTTPException(404)
    last = events[-1]
    return page(
        request,
        "event.html",
        events=events,
        event=last,
        characters=list(zip(last["plate"], last["char_confidences"], strict=False)),
        image=snapshot_file(site.history.path, last),
        legible=snapshot_file(site.history.path, last, legible=True),
    )


def as_csv(request: Request) -> Response:
    """Exports the search results as CSV, one row per pass."""
    found = find_all(site_of(request).history, parse_query(_fields(request)))
    return _download(csv_lines(found), "text/csv; charset=utf-8", "events.csv")


def as_json(request: Request) -> Response:
    """Exports the search results as JSON Lines, one event per line."""
    found = find_all(site_of(request).history, parse_query(_fields(request)))
    return _download(json_lines(found), "application/x-ndjson", "events.json")


def snapshot(request: Request) -> Response:
    """Returns the snapshot of an event."""
    site = site_of(request)
    file = snapshot_file(site.history.path, event_of(site, request.path_params["id"]))
    if file is None:
        raise HTTPException(404, "this event has no image")
    return FileResponse(file, media_type="image/jpeg")


def crop(request: Request) -> Response:
    """Returns the plate of an event, cut out of its snapshot."""
    site = site_of(request)
    event = event_of(site, request.path_params["id"])
    image = legible_image(site, event)
    if image is None:
        raise HTTPException(404, "this event has no image of its plate")
    return Response(_crop_jpeg(image, plate_box(image, event)), media_type="image/jpeg")


def event_of(site: Site, event_id: str) -> dict[str, Any]:
    """Returns an event of the store; raises HTTPException 404 if it does not exist."""
    for event in find_pass(site.history, event_id):
        if event["id"] == event_id:
            return event
    raise HTTPException(404, "no such event")


def legible_image(site: Site, event: dict[str, Any]) -> Image | None:
    """Returns the snapshot of an event; None if it is gone or its plate is blurred."""
    file = snapshot_file(site.history.path, event, legible=True)
    return read_image(file) if file else None


def _crop_jpeg(image: Image, box: Box) -> bytes:
    margins = expanded(box, x=MARGIN_X, y=MARGIN_Y)
    x1, y1, x2, y2 = (round(value) for value in clipped(margins, image))
    crop = image[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
    scale = max(1.0, CROP_HEIGHT_PX / crop.shape[0])
    enlarged = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return encode_jpeg(enlarged, CROP_QUALITY)


def _fields(request: Request) -> dict[str, str]:
    """Returns the form's fields without the empty ones."""
    return {name: value for name, value in request.query_params.items() if value}


def _download(lines: Iterator[str], media_type: str, name: str) -> Response:
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(lines, media_type=media_type, headers=disposition)
