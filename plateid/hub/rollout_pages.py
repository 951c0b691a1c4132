"""The page of rollouts: start, progress, stop, roll back; and the archives that devices fetch."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from psycopg.rows import dict_row
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from plateid.errors import errors_as
from plateid.hub.pages import check_all_sites, fleet_of
from plateid.hub.rollouts import Plan, start
from plateid.web.error_pages import log_change
from plateid.web.guard import read_body, read_change
from plateid.web.model_pages import KIND, MAX_BYTES, UPLOAD_S
from plateid.web.routes import Route
from plateid.web.site import page, site_of

if TYPE_CHECKING:
    from plateid.hub.site import FleetSite

STORE_S = 60.0
"""Time-out of the database for an archive, seconds."""
PART_BYTES = 1 << 20
"""Size of the parts in which an archive is read and sent, bytes."""
STATES = {"stop": "stopped", "roll back": "rolled back"}
"""States of a rollout that a user ends, by the button."""
ROLLOUTS = "SELECT * FROM rollout_state ORDER BY id DESC LIMIT 20"
ARCHIVE = """
    SELECT id, length(archive) FROM rollout JOIN rollout_device ON rollout = id
    WHERE sha256 = %s AND device = %s AND wanted = 'install' AND length(archive) > 0 LIMIT 1"""
PART = "SELECT substring(archive FROM %s FOR %s) FROM rollout WHERE id = %s"


def show(request: Request) -> Response:
    """Shows the last rollouts with their waves."""
    check_all_sites(request)
    fleet = fleet_of(request)
    with fleet.history.opened() as db, db.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(ROLLOUTS).fetchall()
    plan = Plan()
    return page(request, "rollouts.html", rollouts=found, targets=fleet.lives.names, plan=plan)


async def change(request: Request) -> Response:
    """Stops a rollout, or rolls back all its devices."""
    form = await read_change(request)
    check_all_sites(request)
    reason = "do: must be stop or roll back, of a rollout"
    with errors_as(HTTPException, 400, KeyError, ValueError, reason=reason):
        state, id_ = STATES[form["do"]], int(form["rollout"])
    by = f"by {request.state.session.user}"
    await run_in_threadpool(_end, fleet_of(request), id_, state, by)
    await run_in_threadpool(log_change, request, f"rollout: {form['do']}", rollout=id_)
    return RedirectResponse("/rollouts", 303)


def _end(fleet: "FleetSite", id_: int, state: str, reason: str) -> None:
    with fleet.history.opened() as db:
        db.execute("SELECT end_rollout(%s, %s, %s)", (id_, state, reason))


async def upload(request: Request) -> Response:
    """Starts the rollout of an archive, the body; its signature, hexadecimal, is in a header."""
    check_all_sites(request)
    with errors_as(HTTPException, 400, ValueError):
        signature = bytes.fromhex(request.headers.get("x-signature", ""))
        plan = Plan.model_validate(dict(request.query_params))
    async with site_of(request).uploading:  # one at a time
        data = await read_body(request, KIND, MAX_BYTES, timeout_s=UPLOAD_S)
        started = await run_in_threadpool(_start, fleet_of(request), (data, signature), plan)
    await run_in_threadpool(log_change, request, "rollout: start", started=started)
    return JSONResponse({"started": started}, 202)


def _start(fleet: "FleetSite", archive: tuple[bytes, bytes], plan: Plan) -> str:
    with fleet.history.opened(STORE_S) as db:
        return start(db, archive, keys=fleet.hub.trusted_keys, plan=plan)


def bundle(request: Request) -> Response:
    """Sends an archive to a device that is to install it."""
    fleet, device = fleet_of(request), request.state.session.user
    with fleet.history.opened() as db:
        row = db.execute(ARCHIVE, (request.path_params["sha256"], device)).fetchone()
    if row is None:
        raise HTTPException(404, "it is not for this device")
    length = {"Content-Length": str(row[1])}
    return StreamingResponse(_parts(fleet, *row), media_type=KIND, headers=length)


def _parts(fleet: "FleetSite", id_: int, size: int) -> Iterator[bytes]:
    for offset in range(0, size, PART_BYTES):
        with fleet.history.opened() as db:
            (part,) = db.execute(PART, (offset + 1, PART_BYTES, id_)).fetchone() or (b"",)
        yield part


ROLLOUT_ROUTES = [
    Route("/rollouts", show),
    Route("/rollouts", change, methods=["POST"]),
    Route("/api/v1/rollouts", upload, methods=["POST"]),
    Route("/api/v1/bundles/{sha256}", bundle, "device"),
]
