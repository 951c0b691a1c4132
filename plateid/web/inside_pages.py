"""The page "Inside now": the vehicles inside, with corrections by hand."""

from collections.abc import Mapping
from dataclasses import asdict, astuple, fields

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from plateid.core.event_csv import csv_lines
from plateid.core.lists import Lists, compact
from plateid.core.text import CHARSET
from plateid.store.list_file import read_entries
from plateid.store.sessions import Session, Sessions
from plateid.web.error_pages import log_change
from plateid.web.guard import read_change
from plateid.web.site import Site, download, page, site_of

MAX_CHARACTERS = 16
"""Maximum length of a plate that is entered by hand."""


def show(request: Request) -> Response:
    """Shows the vehicles inside and the number of places."""
    sessions = _sessions(site_of(request))
    return page(request, "inside.html", sessions=sessions.inside(), report=sessions.report())


async def change(request: Request) -> Response:
    """Adds a vehicle, or ends its session."""
    form = await read_change(request)
    session = await run_in_threadpool(_change, site_of(request), form)
    await run_in_threadpool(
        log_change, request, "session changed", change=form["do"], session=session
    )
    return RedirectResponse("/inside", 303)


def as_csv(request: Request) -> Response:
    """Exports all sessions, also of vehicles that have left."""
    rows = map(astuple, _sessions(site_of(request)).all())
    names = [field.name for field in fields(Session)]
    return download(csv_lines([names, *rows]), "text/csv; charset=utf-8", "inside.csv")


def as_json(request: Request) -> Response:
    """Returns the occupancy and the vehicles inside."""
    sessions = _sessions(site_of(request))
    inside = [asdict(session) for session in sessions.inside()]
    return JSONResponse(sessions.report() | {"sessions": inside})


def _sessions(site: Site) -> Sessions:
    if not site.config.occupancy.enabled:
        raise HTTPException(404, "occupancy.enabled is not set")
    return Sessions(site.config.store.path, site.config.occupancy)


def _change(site: Site, form: Mapping[str, str]) -> str:
    """Returns the id of the session: the audit log outlives plates of strangers."""
    sessions, plate = _sessions(site), compact(form.get("plate", ""))
    if form.get("do") == "end":
        return sessions.end(form.get("id", ""))
    if form.get("do") != "add":
        raise HTTPException(400, "do: must be add or end")
    if len(plate) > MAX_CHARACTERS or not set(plate) <= set(CHARSET):
        raise HTTPException(400, f"plate: must be up to {MAX_CHARACTERS} letters A to Z and digits")
    return sessions.add(plate, _listed_name(site, plate))


def _listed_name(site: Site, plate: str) -> str:
    if site.config.lists.file is None:
        return ""
    entries = read_entries(site.config.lists.file, site.cameras)
    near = Lists(tuple(entries), site.config.lists.max_distance).near(plate)
    return min(((apart, entry.name) for apart, entry in near), default=(0.0, ""))[1]
