"""The pages that only a hub has: live, journeys and devices; what devices ask for."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from psycopg.rows import dict_row
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route as OpenRoute

from plateid.core.lists import compact
from plateid.errors import errors_as
from plateid.hub.enrolment import EnrolmentError, make_code, revoke
from plateid.hub.enrolment import enrol as enrol_device
from plateid.hub.messages import NAME
from plateid.store.search import find
from plateid.store.search_query import parse_query
from plateid.web import list_pages
from plateid.web.error_pages import log_change
from plateid.web.guard import read_body, read_change
from plateid.web.pass_rows import PassRow, latest_passes, rows_of
from plateid.web.routes import SHARED_ROUTES, Route
from plateid.web.site import newest_event, page, site_of, templates

if TYPE_CHECKING:
    from plateid.hub.site import FleetSite

assert isinstance(templates.loader, jinja2.FileSystemLoader)
templates.loader.searchpath.append(str(Path(__file__).parent / "templates"))
JOURNEY_GAP = timedelta(hours=12)
"""Time without a pass after which a new journey begins."""
MAX_PASSES = 200
"""Maximum number of passes on the page of journeys."""
DEVICES = "SELECT * FROM device_state ORDER BY site NULLS LAST, name"


def fleet_of(request: Request) -> "FleetSite":
    """Returns the hub that serves a request."""
    fleet: FleetSite = request.app.state.fleet
    return fleet


def live(request: Request) -> Response:
    """Shows the latest plates of all sites, or of one."""
    site = site_of(request)
    after = newest_event(site)
    chosen = request.query_params.get("site", "")
    return page(request, "hub.html", latest=latest_passes(site), after=after, chosen=chosen)


def journeys(request: Request) -> Response:
    """Shows the passes of a plate over all sites, as journeys."""
    site, plate = site_of(request), compact(request.query_params.get("plate", ""))
    found: Sequence[PassRow] = ()
    if plate:
        query = parse_query({"plate": plate, "limit": str(MAX_PASSES)})
        found = rows_of(site.history, find(site.history, query).events)
    return page(request, "journeys.html", plate=plate, journeys=_journeys(found))


def _journeys(rows: Sequence[PassRow]) -> list[list[PassRow]]:
    """Returns passes, which are newest first, by journey; each begins after a long gap."""
    made: list[list[PassRow]] = []
    for row in rows:
        if not made or _at(made[-1][-1]) - _at(row) > JOURNEY_GAP:
            made.append([])
        made[-1].append(row)
    return made


def _at(row: PassRow) -> datetime:
    return datetime.fromisoformat(row.event["first_seen"])


def devices(request: Request, *, code: str = "", problem: str = "") -> Response:
    """Shows all devices with their state, and forms to enrol and to place them."""
    fleet, session = fleet_of(request), request.state.session
    with fleet.history.opened() as db, db.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(DEVICES).fetchall()
    shown = [each for each in found if not session.sites or each["site"] in session.sites]
    url = fleet.hub.address
    return page(request, "devices.html", devices=shown, code=code, url=url, problem=problem)


async def change_list(request: Request) -> Response:
    """Changes the master list."""
    check_all_sites(request)
    return await list_pages.change(request)


def check_all_sites(request: Request) -> None:
    """Refuses a user of some sites only: raises HTTPException."""
    if request.state.session.sites:
        raise HTTPException(403, "only a user of all sites may change this")


async def change(request: Request) -> Response:
    """Enrols, places or revokes a device."""
    form = await read_change(request)
    check_all_sites(request)
    try:
        code = await run_in_threadpool(_change, fleet_of(request), form)
    except ValueError as error:
        return await run_in_threadpool(devices, request, problem=str(error))
    done = f"device: {form['do']}"
    await run_in_threadpool(log_change, request, done, device=form["device"])
    if code:
        return await run_in_threadpool(devices, request, code=code)
    return RedirectResponse("/devices", 303)


def _change(fleet: "FleetSite", form: Mapping[str, str]) -> str:
    """Returns the code of an enrolment, or an empty text."""
    site, groups = form.get("site", "").strip(), form.get("groups", "").split()
    names = [form.get("device", ""), *groups, *([site] if site else [])]
    if not all(NAME.fullmatch(name) for name in names):
        raise ValueError("A name has 1 to 64 letters, digits, - or _.")
    with fleet.history.opened() as db:
        match form.get("do"):
            case "enrol":
                return make_code(db, form["device"])
            case "revoke":
                revoke(db, fleet.authority, form["device"])
            case "place":
                db.execute("SELECT place_device(%s, %s, %s)", (form["device"], site, groups))
            case _:
                raise ValueError("do: must be enrol, place or revoke")
    return ""


async def enrol(request: Request) -> Response:
    """Enrols the device that has a one-time code; answers with its certificate and token."""
    body = await read_body(request, "application/json")
    with errors_as(
        HTTPException, 400, ValueError, KeyError, TypeError, reason="needs code and csr"
    ):
        values = from_json(body)
        code, csr = str(values["code"]), str(values["csr"])
    try:
        answer = await run_in_threadpool(_enrol, fleet_of(request), code, csr)
    except EnrolmentError as error:
        raise HTTPException(403, str(error)) from error
    return JSONResponse(answer)


def _enrol(fleet: "FleetSite", code: str, csr: str) -> dict[str, Any]:
    mqtt = fleet.hub.mqtt
    with fleet.history.opened() as db:
        made = enrol_device(db, fleet.authority, code, csr)
    broker = {"host": mqtt.host, "port": mqtt.port, "tls": mqtt.tls, "prefix": mqtt.prefix}
    return made | {"mqtt": broker, "url": fleet.hub.address}


def desired(request: Request) -> Response:
    """Returns the desired state of the device that asks."""
    name = request.state.session.user
    with fleet_of(request).history.opened() as db:
        row = db.execute("SELECT document FROM desired WHERE device = %s", (name,)).fetchone()
    if row is None:
        raise HTTPException(404, "there is none yet")
    return Response(row[0], media_type="application/json")


PAGES = {
    "Live": "/",
    "Events": "/events",
    "Journeys": "/journeys",
    "Lists": "/lists",
    "Devices": "/devices",
    "Rollouts": "/rollouts",
    "People": "/people",
}
"""The menu."""
ROUTES = [
    Route("/", live),
    Route("/journeys", journeys),
    Route("/lists", change_list, "write_lists", methods=["POST"]),
    Route("/devices", devices),
    Route("/devices", change, methods=["POST"]),
    Route("/api/v1/desired", desired, "device"),
    OpenRoute("/api/v1/enrol", enrol, methods=["POST"]),
    *SHARED_ROUTES,
]
