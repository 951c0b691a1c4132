"""The live page, its streams, and the way from no camera to the first plate."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from plateid.errors import StoreError
from plateid.store.search import Query, find
from plateid.web.guard import COOKIE
from plateid.web.live import MAX_STREAMS, RECENT, Live, Ticker
from plateid.web.site import Site, camera_of, local_time, page, site_of

BOUNDARY = "plateid"
PART_HEAD = f"\r\n--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n\r\n".encode()
EVENTS_S = 0.5
ON_THE_WAY_S = 30.0
STATE_TICKS = 8
"""The state of the box goes out with every so many looks at the events."""


def live(request: Request) -> Response:
    """The cameras, the last plates, the state of the box."""
    site = site_of(request)
    told = site.live.events_after(0)[-1:]  # before the history is read: what comes now is streamed
    after = told[0][1]["id"] if told else ""
    return page(request, "live.html", latest=_latest(site), state=state(site), after=after)


def start(request: Request) -> Response:
    """What is done, and what to do next."""
    site = site_of(request)
    latest = _latest(site)
    return page(request, "start.html", latest=latest, state=state(site))


def state(site: Site) -> dict[str, Any]:
    """Of the health report what the page shows; asked for by whoever looks."""
    report = site.report()
    outbox, synced = report["outbox"], report["clock_synced"]
    waiting = outbox["events"]
    return {
        "cameras": {name: camera["online"] for name, camera in report["cameras"].items()},
        "rates": {name: c["reads_per_minute"] for name, c in report["cameras"].items()},
        "waiting": waiting,
        "broker": _broker(waiting, outbox["oldest_s"]),
        "disk_free_mb": report["disk_free_mb"],
        "clock": {True: "ok", False: "not set", None: "unknown"}[synced],
        "temperature_c": report["temperature_c"],
        "lost": report["lost"],
    }


def _broker(waiting: int | None, oldest_s: float | None) -> str:
    """A few events are always on their way; for how long, without a clock nobody knows."""
    if not waiting:
        return "ok" if waiting == 0 else "unknown"
    if waiting >= RECENT or (oldest_s or 0) > ON_THE_WAY_S:
        return "away"
    return "unknown" if oldest_s is None else "ok"


def _latest(site: Site) -> list[dict[str, Any]] | None:
    """The last passes, newest first; None where the store cannot be read."""
    try:
        return find(site.history, Query(limit=RECENT)).events
    except StoreError:
        return None


class Stream(StreamingResponse):
    """One that counts among those that are open; it ends when the viewer leaves or logs out."""

    def __init__(self, request: Request, parts: AsyncIterator[bytes], media_type: str) -> None:
        """Raises HTTPException where there are enough of them."""
        self._live = site_of(request).live
        if self._live.streams >= MAX_STREAMS:
            raise HTTPException(503, f"{MAX_STREAMS} viewers are enough")
        at_once = {"X-Accel-Buffering": "no"}  # nginx would hold it back
        super().__init__(_while_logged_in(request, parts), headers=at_once, media_type=media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends, at the pace at which the viewer takes."""
        self._live.streams += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._live.streams -= 1


async def _while_logged_in(request: Request, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    access, cookie = site_of(request).access, request.cookies.get(COOKIE, "")
    async for part in parts:
        if access.session(cookie) is None:
            return
        yield part


async def mjpeg(request: Request) -> Response:
    """The annotated pictures of a camera, each as soon as the viewer has taken the last."""
    site = site_of(request)
    images = _images(site, camera_of(request))
    return Stream(request, images, f"multipart/x-mixed-replace; boundary={BOUNDARY}")


async def _images(site: Site, camera: str) -> AsyncIterator[bytes]:
    """Browsers show a part when the head of the next one arrives, hence that follows at once."""
    ticker, number = Ticker(1 / site.config.web.fps), -2
    yield PART_HEAD
    while not site.live.closing:
        await ticker.wait()
        number, jpeg = await site.live.next_jpeg(camera, number)
        if jpeg:
            yield jpeg + PART_HEAD


async def still(request: Request) -> Response:
    """The newest picture of a camera."""
    _, jpeg = await site_of(request).live.next_jpeg(camera_of(request), -2)
    if not jpeg:
        raise HTTPException(404, "no picture yet")
    return Response(jpeg, media_type="image/jpeg")


async def events(request: Request) -> Response:
    """Server-sent events: `plate` for each event of the box, `state` every few seconds.

    It begins after the event that the page was made with, or that was the last to arrive. Where
    that is too old, or from before a restart, it says `reload`: nobody knows what came since.
    """
    asked = request.query_params.get("after", "")
    after = request.headers.get("last-event-id", asked)
    return Stream(request, _events(site_of(request), after), "text/event-stream")


async def _events(site: Site, after: str) -> AsyncIterator[bytes]:
    live, ticks = site.live, 0
    told = live.number_of(after)
    if after and not told:
        yield message("reload", None)
    while not live.closing:
        for number, event in live.events_after(told):
            told = number
            shown = event | {"local": local_time(event["first_seen"])}
            yield f"id: {event['id']}\n".encode() + message("plate", shown)
        if ticks % STATE_TICKS == 0:
            yield message("state", await run_in_threadpool(state, site))
        ticks += 1
        await asyncio.sleep(EVENTS_S)


def message(kind: str, value: Any) -> bytes:
    """One server-sent event."""
    return f"event: {kind}\ndata: {json.dumps(value)}\n\n".encode()


async def repeated(
    live: Live, kind: str, look: Callable[[], Any], interval_s: float
) -> AsyncIterator[bytes]:
    """Server-sent events of what `look` gives, in a thread, again and again."""
    while not live.closing:
        yield message(kind, await run_in_threadpool(look))
        await asyncio.sleep(interval_s)
