"""Streams to the browser: annotated images of a camera (MJPEG), and server-sent events."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from plateid.errors import StoreError
from plateid.web.access import LoginSession
from plateid.web.guard import session_of
from plateid.web.live import MAX_SESSION_STREAMS, MAX_STREAMS, MAX_VIEWER_STREAMS, NO_FRAME, Live
from plateid.web.pass_rows import rows_of
from plateid.web.site import Site, camera_of, device_state, site_of, templates

BOUNDARY = "plateid"
"""Separator of the images in a multipart stream."""
PART_HEAD = f"\r\n--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n\r\n".encode()
EVENTS_S = 0.5
"""Interval at which an event stream looks for new events, seconds."""
STATE_EVERY = 2
"""Number of looks after which an event stream sends the device's state: each second. A page that
gets none for four seconds says so."""


class Stream(StreamingResponse):
    """A response without end; it ends when the viewer disconnects or logs out."""

    def __init__(self, request: Request, parts: AsyncIterator[bytes], media_type: str) -> None:
        """Raises HTTPException 503 if too many streams are open."""
        self._open, self._session = site_of(request).live.streams, request.state.session
        _check_room(self._open, self._session)
        unbuffered = {"X-Accel-Buffering": "no"}  # nginx would hold parts back
        super().__init__(_until_logout(request, parts), headers=unbuffered, media_type=media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends parts as fast as the viewer takes them."""
        self._open[self._session] += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._open[self._session] -= 1
            self._open += Counter()  # drops zeros


def _check_room(streams: Counter[LoginSession], session: LoginSession) -> None:
    of_viewers = sum(number for each, number in streams.items() if each.role == "viewer")
    if session.is_personal and streams[session] >= MAX_SESSION_STREAMS:
        raise HTTPException(503, f"{MAX_SESSION_STREAMS} streams are open: close other tabs")
    if streams.total() >= MAX_STREAMS or (
        session.role == "viewer" and of_viewers >= MAX_VIEWER_STREAMS
    ):
        raise HTTPException(503, "too many streams are open")


async def _until_logout(request: Request, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for part in parts:
        if session_of(request, site_of(request).access) is None:
            return
        yield part


async def mjpeg(request: Request) -> Response:
    """Streams the annotated images of a camera."""
    images = _images(site_of(request), camera_of(request))
    return Stream(request, images, f"multipart/x-mixed-replace; boundary={BOUNDARY}")


async def _images(site: Site, camera: str) -> AsyncIterator[bytes]:
    """Sends each part's head early: a browser shows a part when the next head arrives."""
    due_at, number = time.monotonic(), NO_FRAME
    yield PART_HEAD
    while not site.live.closing:
        await asyncio.sleep(max(0.0, due_at - time.monotonic()))
        due_at = max(due_at + 1 / site.config.web.fps, time.monotonic())
        number, jpeg = await site.live.next_jpeg(camera, number)
        if jpeg:
            yield jpeg + PART_HEAD


async def still(request: Request) -> Response:
    """Returns the newest annotated image of a camera."""
    _, jpeg = await site_of(request).live.next_jpeg(camera_of(request), NO_FRAME)
    if not jpeg:
        raise HTTPException(404, "no image yet")
    return Response(jpeg, media_type="image/jpeg")


async def events(request: Request) -> Response:
    """Streams `plate` for each plate event and `state` for the device's state.

    The stream continues after the event named by `Last-Event-ID` or `after`. If that one is too
    old, it sends `reload`: events in between may be missing.
    """
    asked = request.query_params.get("after", "")
    after = request.headers.get("last-event-id", asked)
    with_row = request.scope["path"].startswith("/stream/")
    return Stream(request, _events(site_of(request), after, with_row), "text/event-stream")


async def _events(site: Site, after: str, with_row: bool) -> AsyncIterator[bytes]:  # noqa: FBT001
    live, ticks = site.live, 0
    sent = live.number_of(after)
    if after and not sent:
        yield sse("reload", None)
    while not live.closing:
        for number, event in live.events_after(sent):
            sent = number
            html = await run_in_threadpool(_row, site, event) if with_row else {}
            yield f"id: {event['id']}\n".encode() + sse("plate", event | html)
        if ticks % STATE_EVERY == 0:
            yield sse("state", await run_in_threadpool(device_state, site))
        ticks += 1
        await asyncio.sleep(EVENTS_S)


def _row(site: Site, event: dict[str, Any]) -> dict[str, str]:
    """Returns the HTML of a pass's row; it has no correction while the store cannot be read."""
    try:
        (row,) = rows_of(site.history, [event])
    except StoreError:
        (row,) = rows_of(site.history, [event], corrected=False)
    parts: Any = templates.get_template("parts.html").module
    return {"html": parts.row(row)}


def sse(kind: str, value: Any) -> bytes:
    """Returns one server-sent event."""
    return f"event: {kind}\ndata: {json.dumps(value)}\n\n".encode()


async def repeated(
    live: Live, kind: str, measure: Callable[[], Any], interval_s: float
) -> AsyncIterator[bytes]:
    """Yields the results of `measure`, called in a thread, as server-sent events."""
    while not live.closing:
        yield sse(kind, await run_in_threadpool(measure))
        await asyncio.sleep(interval_s)
