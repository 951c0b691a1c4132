"""The pages that only a hub has: live, journeys, devices, map; what devices ask for and post."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import psycopg
from psycopg.rows import dict_row
from pydantic import ValidationError
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
from plateid.hub.ingest import checked
from plateid.hub.labels import Offer, take_offer
from plateid.hub.messages import MAX_BYTES, NAME, Message
from plateid.hub.recording import store_batch
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
SITES = "SELECT * FROM site_state ORDER BY name"
LOCATE = """
    INSERT INTO site SELECT %s, at[0], at[1] FROM CAST(%s AS point) AS at ON CONFLICT (name)
    DO UPDATE SET latitude = excluded.latitude, longitude = excluded.longitude"""
NO_DEGREES = "Latitude and longitude are degrees, such as 44.4268, 26.1025."
MAX_OFFER_BYTES = 32_000_000
"""Largest offer of a device, bytes: 100,000 labels, or some images."""


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
    shown, url = _rows(request, DEVICES, "site"), fleet_of(request).hub.address
    return page(request, "devices.html", devices=shown, code=code, url=url, problem=problem)


def site_map(request: Request) -> Response:
    """Shows the sites at their coordinates, with the state of their devices."""
    return page(request, "map.html", sites=_rows(request, SITES, "name"))


def _rows(request: Request, query: str, site: str) -> list[dict[str, Any]]:
    """Returns rows whose column `site` is a site of the user."""
    own, history = request.state.session.sites, fleet_of(request).history
    with history.opened() as db, db.cursor(row_factory=dict_row) as cursor:
        return [row for row in cursor.execute(query.encode()) if not own or row[site] in own]


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
    subject = {name: form.get(name, "") for name in ("device", "site", "groups", "at")}
    await run_in_threadpool(log_change, request, done, **subject)
    if code:
        return await run_in_threadpool(devices, request, code=code)
    return RedirectResponse("/map" if form["do"] == "locate" else "/devices", 303)


def _change(fleet: "FleetSite", form: Mapping[str, str]) -> str:
    """Returns the code of an enrolment, or an empty text."""
    site, groups = form.get("site", "").strip(), form.get("groups", "").split()
    names = [form.get("device", site), *groups, *([site] if site else [])]
    if not all(NAME.fullmatch(name) for name in names):
        raise ValueError("A name has 1 to 64 letters, digits, - or _.")
    with fleet.history.opened() as db:
        match form:
            case {"do": "enrol", "device": device}:
                return make_code(db, device)
            case {"do": "revoke", "device": device}:
                revoke(db, fleet.authority, device)
                known = fleet.lives.tokens.items()
                fleet.lives.tokens = {token: name for token, name in known if name != device}
            case {"do": "place", "device": device}:
                db.execute("SELECT place_device(%s, %s, %s)", (device, site, groups))
            case {"do": "locate", "at": at}:
                causes = psycopg.DataError, psycopg.IntegrityError
                with errors_as(lambda *_: ValueError(NO_DEGREES), at, *causes):
                    db.execute(LOCATE, (site, at))
            case _:
                raise ValueError("do: must be enrol, place, revoke or locate")
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


async def labels(request: Request) -> Response:
    """Takes what a device says of its plates; answers with the ids whose image it is to send."""
    body = await read_body(request, "application/json", MAX_OFFER_BYTES)

    def store() -> list[str]:
        causes = ValidationError, psycopg.DataError, psycopg.IntegrityError
        refused = errors_as(HTTPException, 400, *causes, reason="is no valid offer of labels")
        with fleet_of(request).history.opened() as db, refused:
            return take_offer(db, request.state.session.user, Offer.model_validate_json(body))

    return JSONResponse(await run_in_threadpool(store))


async def read(request: Request) -> Response:
    """Stores the read of another maker's system; what is wrong with it goes to the quarantine."""
    device, camera = request.path_params["device"], request.path_params["camera"]
    fleet, sites = fleet_of(request), request.state.session.sites
    if sites and fleet.lives.sites.get(device) not in sites:
        raise HTTPException(403, f"{device} is at none of your sites")
    body = await read_body(request, "application/json", MAX_BYTES)
    message = Message(f"http/{device}/{camera}/read", body)
    batch = checked([message], fleet.limits)

    def store() -> None:
        with fleet.history.opened() as db:
            store_batch(db, batch)

    await run_in_threadpool(store)
    for _, reason in batch.refused:
        raise HTTPException(400, reason)
    return Response(status_code=204)


PAGES = {
    "Live": "/",
    "Events": "/events",
    "Journeys": "/journeys",
    "Lists": "/lists",
    "Review": "/review",
    "Devices": "/devices",
    "Rollouts": "/rollouts",
    "Map": "/map",
    "People": "/people",
}
"""The menu."""
ROUTES = [
    Route("/", live),
    Route("/journeys", journeys),
    Route("/lists", change_list, "write_lists", methods=["POST"]),
    Route("/devices", devices),
    Route("/map", site_map),
    Route("/devices", change, methods=["POST"]),
    Route("/api/v1/desired", desired, "device"),
    Route("/api/v1/labels", labels, "device", methods=["POST"]),
    Route("/api/v1/reads/{device}/{camera}", read, "post_events", methods=["POST"]),
    OpenRoute("/api/v1/enrol", enrol, methods=["POST"]),
    *SHARED_ROUTES,
]
