"""The JSON API, described by openapi.json.

Plate and list name a list entry, so that requests can be repeated.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, get_args

from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from plateid.config.problems import checked
from plateid.config.section import Name, Section
from plateid.core.lists import ListEntry, compact
from plateid.core.records import ListKind, rfc3339
from plateid.errors import ConfigError, errors_as
from plateid.store.list_csv import entry_of, key_of, rows_of, with_rows, without_row
from plateid.store.list_file import ConflictError, read_entries, state_of
from plateid.store.search import find
from plateid.store.search_query import parse_query
from plateid.web.guard import read_body
from plateid.web.list_pages import Row, change_list, log_list_change
from plateid.web.site import FOLDER, service_of, site_of

OPENAPI = FOLDER / "openapi.json"
SCHEMA = FOLDER.parent / "core" / "schema" / "plate-event.v1.json"

POST_KINDS = ("application/json", "application/xml", "text/xml", "multipart/form-data")
MAX_POST_BYTES = 8_000_000
"""Maximum size of what a camera posts, bytes: two 4K pictures in Base64."""
Key = tuple[str, str]
"""Plate without gaps, and list."""


class EntryBody(Section):
    """An entry in a request; its times are those of the list file."""

    plate: str = Field(max_length=40)
    list: ListKind
    name: str = Field(default="", max_length=200)
    note: str = Field(default="", max_length=500)
    valid_from: str = Field(default="", max_length=40)
    valid_to: str = Field(default="", max_length=40)
    cameras: tuple[Name, ...] = ()


def openapi(_request: Request) -> Response:
    """Returns the OpenAPI document with the plate event's schema in it."""
    document = json.loads(OPENAPI.read_text())
    event = json.loads(SCHEMA.read_text().replace("#/$defs/", "#/components/schemas/"))
    parts = event.pop("$defs", {})
    del event["$schema"], event["$id"]
    document["components"]["schemas"] |= parts | {"Event": event}
    return JSONResponse(document)


def events(request: Request) -> Response:
    """Returns one page of search results, their corrections, and the key of the next page."""
    found = find(site_of(request).history, parse_query(dict(request.query_params)))
    known = site_of(request).history.corrections(event["pass_id"] for event in found.events)
    texts = {pass_id: each.text for pass_id, each in known.items() if each.text}
    answer = {"events": found.events, "after": found.after or None, "corrections": texts}
    return JSONResponse(answer)


def event(request: Request) -> Response:
    """Returns all events of one pass."""
    found = site_of(request).history.find_pass(request.path_params["id"])
    if not found:
        raise HTTPException(404, "no such event")
    return JSONResponse({"events": found})


def health(request: Request) -> Response:
    """Returns the health report."""
    return JSONResponse(site_of(request).report())


def _utc(moment: datetime) -> str:
    """Converts a local time; the first and last dates of the calendar have no other time zone."""
    try:
        return rfc3339(moment)
    except (ValueError, OverflowError):
        return rfc3339(moment.replace(tzinfo=UTC))


def entries(request: Request) -> Response:
    """Returns the entries, or those of a plate or list; 304 if they have not changed."""
    site, query = site_of(request), request.query_params
    if query.get("list", "allow") not in get_args(ListKind):
        raise HTTPException(400, f"list: must be one of {', '.join(get_args(ListKind))}")
    found = [
        _shown(entry)
        for entry in read_entries(site.config.lists.file, site.cameras)
        if compact(query.get("plate", entry.plate)) == entry.plate
        and query.get("list", entry.kind) == entry.kind
    ]
    etags = [entry["etag"] for entry in found]
    etag = {"ETag": f'"{etags[0] if len(etags) == 1 else state_of(str(etags))}"'}
    if request.headers.get("if-none-match") == etag["ETag"]:
        return Response(status_code=304, headers=etag)
    return JSONResponse({"entries": found}, headers=etag)


async def change(request: Request) -> Response:
    """Creates or replaces (POST), changes (PATCH) or deletes an entry."""
    body = await _read_object(request)
    return await run_in_threadpool(_change, request, body)


def _change(request: Request, body: Mapping[str, Any]) -> Response:
    site, key = site_of(request), _key(request, body)
    with errors_as(HTTPException, 400, ValueError), errors_as(HTTPException, 409, ConflictError):
        done = change_list(site, lambda before: _edited(before, request, key, body))
    if done.after != done.before:
        log_list_change(request, "list changed in the API", request.method, done)
    if (number := _number(done.after, key)) is None:
        return Response(status_code=204)
    entry = _shown(entry_of(rows_of(done.after)[number], site.cameras))
    created = _number(done.before, key) is None
    return JSONResponse(entry, 201 if created else 200, headers={"ETag": f'"{entry["etag"]}"'})


def _edited(before: str, request: Request, key: Key, body: Mapping[str, Any]) -> tuple[str, str]:
    number, cameras = _number(before, key), site_of(request).cameras
    row = None if number is None else rows_of(before)[number]
    etag = "" if row is None else _shown(entry_of(row, cameras))["etag"]
    if request.method == "POST":
        cells = _cells(body)
    elif row is None or number is None:
        raise HTTPException(404, "no such entry")
    elif request.method == "DELETE":
        _check_etag(request, etag)
        return without_row(before, number), f"delete {row['plate']}"
    else:
        cells = _cells({**row, "cameras": row["cameras"].split(), **body})
    entry_of(cells, cameras)
    if key_of(cells) != key:
        raise ValueError("plate, list: cannot be changed; create another entry")
    _check_etag(request, etag)
    if cells == row:
        return before, ""
    return with_rows(before, [(number, cells)]), f"{'edit' if row else 'add'} {cells['plate']}"


def _key(request: Request, body: Mapping[str, Any]) -> Key:
    plate, kind = (request.query_params.get(name, body.get(name)) for name in ("plate", "list"))
    if not isinstance(plate, str) or not compact(plate):
        raise HTTPException(400, "plate: is missing")
    if not isinstance(kind, str) or kind not in get_args(ListKind):
        raise HTTPException(400, f"list: must be one of {', '.join(get_args(ListKind))}")
    return compact(plate), kind


def _number(text: str, key: Key) -> int | None:
    found = [number for number, row in rows_of(text).items() if key_of(row) == key]
    if len(found) > 1:
        reason = f"{len(found)} lines have this plate and list: change them on the page Lists"
        raise HTTPException(409, reason)
    return found[0] if found else None


def _cells(values: Mapping[str, Any]) -> Row:
    """Returns the cells of an entry; null is the same as a missing value."""
    try:
        entry = checked(EntryBody, {k: v for k, v in values.items() if v is not None})
    except ConfigError as error:
        raise ValueError(error.reason) from error
    return vars(entry) | {"cameras": " ".join(entry.cameras)}


def _check_etag(request: Request, etag: str) -> None:
    wanted, unwanted = (request.headers.get(name) for name in ("if-match", "if-none-match"))
    if wanted is not None and (not etag or wanted.strip('"') not in (etag, "*")):
        raise HTTPException(412, "the entry has changed")
    if etag and unwanted == "*":
        raise HTTPException(412, "there is such an entry")


def _shown(entry: ListEntry) -> dict[str, Any]:
    shown = asdict(entry) | {"cameras": sorted(entry.cameras)}
    shown["list"] = shown.pop("kind")
    for name in ("valid_from", "valid_to"):
        shown[name] = shown[name] and _utc(shown[name])
    return shown | {"etag": state_of(json.dumps(shown, sort_keys=True))}


async def take_post(request: Request) -> Response:
    """Publishes what a camera read; the answer is the one that Dahua's ITSAPI demands."""
    header, camera = request.headers.get("content-type", ""), request.path_params["camera"]
    kind = header.partition(";")[0].strip().lower()
    wanted = kind if kind in POST_KINDS else " or ".join(POST_KINDS)
    body = await read_body(request, wanted, MAX_POST_BYTES)
    await run_in_threadpool(service_of(request).take_post, camera, header, body)
    return JSONResponse({"Result": True})


async def _read_object(request: Request) -> dict[str, Any]:
    if request.method == "DELETE" and "content-type" not in request.headers:
        return {}
    body = await read_body(request, "application/json")
    with errors_as(HTTPException, 400, ValueError, RecursionError, reason="the body is not JSON"):
        value = json.loads(body)
    if not isinstance(value, dict):
        raise HTTPException(400, "the body must be a JSON object")
    return value
