"""The JSON API, described by openapi.json."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from plateid.core.lists import ListEntry
from plateid.core.records import rfc3339
from plateid.store.list_file import read_entries
from plateid.store.search import find, find_pass
from plateid.store.search_query import parse_query
from plateid.web.site import FOLDER, site_of

OPENAPI = FOLDER / "openapi.json"
SCHEMA = FOLDER.parent / "core" / "schema" / "plate-event.v1.json"


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
    found = find_pass(site_of(request).history, request.path_params["id"])
    if not found:
        raise HTTPException(404, "no such event")
    return JSONResponse({"events": found})


def health(request: Request) -> Response:
    """Returns the health report."""
    return JSONResponse(site_of(request).report())


def lists(request: Request) -> Response:
    """Returns the entries of the list file."""
    site = site_of(request)
    entries = read_entries(site.config.lists.file, site.cameras)
    return JSONResponse({"entries": [entry_json(entry) for entry in entries]})


def entry_json(entry: ListEntry) -> dict[str, Any]:
    """Returns an entry as a JSON object, with times in UTC."""
    times = {name: getattr(entry, name) for name in ("valid_from", "valid_to")}
    shown = {name: moment and _utc(moment) for name, moment in times.items()}
    return asdict(entry) | shown | {"cameras": sorted(entry.cameras)}


def _utc(moment: datetime) -> str:
    """Converts a local time; the first and last dates of the calendar have no other time zone."""
    try:
        return rfc3339(moment)
    except (ValueError, OverflowError):
        return rfc3339(moment.replace(tzinfo=UTC))
