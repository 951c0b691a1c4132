"""The pages "Events" and "Event", exports, and the images of an event."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import cv2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from plateid.core.drawing import encode_jpeg
from plateid.core.geometry import clipped, expanded
from plateid.core.lists import compact
from plateid.core.records import Box, Image
from plateid.core.wording import counted
from plateid.errors import ConfigError
from plateid.store.history import SlowQueryError
from plateid.store.list_csv import rows_of as list_rows
from plateid.store.list_file import read_text
from plateid.store.search import (
    ResultPage,
    csv_lines,
    find,
    find_all,
    json_lines,
    neighbours,
)
from plateid.store.search_query import FIELDS, MAX_PATTERN, Query, QueryError, parse_query
from plateid.store.snapshot_files import decode_image, is_hidden, plate_box
from plateid.web.pass_rows import VEHICLE_PX, PassRow, rows_of, vehicle_box
from plateid.web.site import EventHistory, Site, download, page, site_of

MAX_COUNT = 1000
"""Number up to which results are counted, so that the page does not wait for more."""
MAX_SAME = 8
"""Maximum number of passes of the same plate that an event's page shows."""
SURE_COUNTRY = 0.9
"""Confidence (0-1) from which a country is shown, if the regions to expect are configured. Without
them, 66 of the 79 plates of us-crops with such a confidence are said to be of another country."""
MARGIN_X, MARGIN_Y = 0.25, 0.6
"""Margins that a crop shows around the plate, in widths and heights of its box."""
CROP_HEIGHT_PX = 160
"""Height to which smaller crops are enlarged."""
CROP_QUALITY = 90
"""JPEG quality of crops."""


def search(request: Request) -> Response:
    """Shows the search form and one page of results."""
    site, fields = site_of(request), _fields(request)
    found, number, problem = None, "", ""
    try:
        found, fields = _find(site.history, fields)
        number = _count(site.history, found, fields)
    except QueryError as error:
        problem = str(error)
    filters = {name: value for name, value in fields.items() if name != "after"}
    return page(
        request,
        "events.html",
        fields=dict.fromkeys(("q", *FIELDS), "") | fields,
        asked=_fields(request),
        rows=rows_of(site.history, found.events) if found else None,
        count=number,
        problem=problem,
        older=urlencode(filters | {"after": found.after}) if found and found.after else "",
        filters=urlencode(filters),
    )


def _find(history: EventHistory, fields: dict[str, str]) -> tuple[ResultPage, dict[str, str]]:
    """Returns the results, and the fields that gave them: similar plates if no others are found."""
    found = find(history, _query(fields))
    if not found.events and "q" in fields and "after" not in fields:
        similar = fields | {"fuzzy": "1"}
        with suppress(QueryError):  # the text is too short, or a pattern
            return find(history, _query(similar)), similar
    return found, fields


def _count(history: EventHistory, found: ResultPage, fields: Mapping[str, str]) -> str:
    number = len(found.events)
    if found.after or "after" in fields:
        try:
            number = history.count(_query(fields), MAX_COUNT)
        except SlowQueryError:
            return f"More than {number} passes"
    return f"{counted(number, 'pass', 'passes')}{' or more' if number == MAX_COUNT else ''}"


def _query(fields: Mapping[str, str]) -> Query:
    """Returns the query of a page. Unlike `plate`, the text `q` may be a part of the plate."""
    fields = dict(fields)
    text = compact(fields.pop("q", ""))
    if text:
        is_whole = fields.get("fuzzy") or set(text) & set("*?") or len(text) > MAX_PATTERN - 2
        fields["plate"] = text if is_whole else f"*{text}*"
    return parse_query(fields)


def detail(request: Request) -> Response:
    """Shows one pass with all of its events, and its neighbours among the results of a search."""
    site, fields = site_of(request), _fields(request)
    events = site.history.find_pass(request.path_params["id"])
    if not events:
        raise HTTPException(404)
    (row,) = rows_of(site.history, events[-1:])
    image = image_of(site, events[-1])
    newer, older = neighbours(site.history, _query(fields), row.event)
    same = Query(plate=row.text, limit=MAX_SAME)
    found = find(site.history, same).events if row.event["char_confidences"] else []
    return page(
        request,
        "event.html",
        events=events,
        row=row,
        characters=list(zip(row.event["plate"], row.event["char_confidences"], strict=False)),
        size=None if image is None else image.shape[1::-1],
        box=() if image is None else plate_box(image, events[-1]),
        newer=newer,
        older=older,
        filters=urlencode(fields),
        passes=rows_of(site.history, found),
        country=_country(site, row.event),
        entry=_list_row(site, row),
    )


def _country(site: Site, event: Mapping[str, Any]) -> str:
    region = event["region"] if site.config.events.regions else None
    return region["code"].upper() if region and region["confidence"] >= SURE_COUNTRY else ""


def _list_row(site: Site, row: PassRow) -> int | None:
    """Returns the row of the list file that names the plate, or the entry that matched it."""
    try:
        rows = list_rows(read_text(site.config.lists.file)) if site.config.lists.file else {}
    except (ConfigError, ValueError):  # the page "Lists" shows this error
        return None
    named = {cells["name"] or cells["plate"]: number for number, cells in rows.items()}
    by_plate = {compact(cells["plate"]): number for number, cells in rows.items()}
    matched = (row.event["list"] or {}).get("name", "")
    own = by_plate.get(row.text, by_plate.get(row.event["plate"]))
    return named.get(matched) if own is None else own


def as_csv(request: Request) -> Response:
    """Exports the search results as CSV, one row per pass."""
    found = find_all(site_of(request).history, _query(_fields(request)))
    return download(csv_lines(found), "text/csv; charset=utf-8", "events.csv")


def as_json(request: Request) -> Response:
    """Exports the search results as JSON Lines, one event per line."""
    found = find_all(site_of(request).history, _query(_fields(request)))
    return download(json_lines(found), "application/x-ndjson", "events.json")


def snapshot(request: Request) -> Response:
    """Returns the snapshot of an event."""
    site = site_of(request)
    jpeg = site.history.image(event_of(site, request.path_params["id"]))
    if jpeg is None:
        raise HTTPException(404, "this event has no image")
    return Response(jpeg, media_type="image/jpeg")


def crop(request: Request) -> Response:
    """Returns the plate of an event, cut out of its snapshot."""
    site = site_of(request)
    event = event_of(site, request.path_params["id"])
    image = image_of(site, event, legible=True)
    if image is None:
        raise HTTPException(404, "this event has no image of its plate")
    cut = _cut(image, expanded(plate_box(image, event), x=MARGIN_X, y=MARGIN_Y))
    scale = max(1.0, CROP_HEIGHT_PX / cut.shape[0])
    enlarged = cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return _jpeg(enlarged)


def vehicle(request: Request) -> Response:
    """Returns a thumbnail of the vehicle of an event."""
    site = site_of(request)
    event = event_of(site, request.path_params["id"])
    image = image_of(site, event)
    if image is None:
        raise HTTPException(404, "this event has no image")
    cut = _cut(image, vehicle_box(plate_box(image, event)))
    scale = min(1.0, VEHICLE_PX[0] / cut.shape[1])
    return _jpeg(cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def event_of(site: Site, event_id: str) -> dict[str, Any]:
    """Returns an event of the store; raises HTTPException 404 if it does not exist."""
    for event in site.history.find_pass(event_id):
        if event["id"] == event_id:
            return event
    raise HTTPException(404, "no such event")


def image_of(site: Site, event: dict[str, Any], *, legible: bool = False) -> Image | None:
    """Returns the snapshot of an event; None if it is gone, or not `legible`."""
    jpeg = site.history.image(event)
    return None if jpeg is None or (legible and is_hidden(event)) else decode_image(jpeg)


def _cut(image: Image, box: Box) -> Image:
    x1, y1, x2, y2 = (round(value) for value in clipped(box, image))
    return image[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]


def _jpeg(image: Image) -> Response:
    return Response(encode_jpeg(image, CROP_QUALITY), media_type="image/jpeg")


def _fields(request: Request) -> dict[str, str]:
    return {name: value for name, value in request.query_params.items() if value}
