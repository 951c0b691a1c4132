"""Image and event streams, and the cost of viewers that stop reading."""

import itertools
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import replace

import cv2
import numpy as np
import psutil
import pytest

from plateid import http_server
from plateid.config.service import WebConfig
from plateid.core.records import PlateEvent
from plateid.web.live import MAX_SESSION_STREAMS, MAX_STREAMS, MAX_VIEWER_STREAMS, Live
from tests.support.broker import until
from tests.support.samples import event
from tests.web.conftest import PASSWORD, VIEWER_PASSWORD
from tests.web.viewer import open_stream

STALLED_VIEWERS = 20


@pytest.fixture
def short_stall(monkeypatch):
    """Shortens the kernel's time-out; must come before the fixture `device`."""
    monkeypatch.setattr(http_server, "STALLED_MS", 5000)


@pytest.fixture
def filming(device, scene):
    """A device whose camera gives ten frames a second."""
    frame, plates = scene
    stop = threading.Event()

    def film():
        for sequence in itertools.count():
            device.server.show(replace(frame, camera="drive", sequence=sequence), plates)
            if stop.wait(0.1):
                return

    thread = threading.Thread(target=film)
    thread.start()
    yield device
    stop.set()
    thread.join()


def viewer(device, path="/stream/drive.mjpeg", **options):
    return closing(open_stream(device.config.web.port, path, **options))


@pytest.mark.parametrize("path", ["/stream/events", "/stream/drive.mjpeg"])
def test_streams_disable_buffering_of_proxies(device, path):
    with viewer(device, path) as client:
        assert b"\r\nx-accel-buffering: no\r\n" in client.recv(4096)


def test_parallel_events_are_numbered_in_order():
    live = Live(WebConfig(), ["drive"])

    class OvertakenEvent(PlateEvent):
        def to_json(self):
            live.publish(event(2))
            return super().to_json()

    live.publish(OvertakenEvent(**vars(event(1))))
    assert [number for number, _ in live.events_after(0)] == [1, 2]


def test_stream_has_annotated_images_at_the_configured_rate(filming, scene):
    with viewer(filming) as client:
        data, until_at = b"", time.monotonic() + 3
        while time.monotonic() < until_at:
            data += client.recv(1 << 16)
    images = [part for part in data.split(b"--plateid\r\n") if b"\xff\xd9" in part]
    assert 8 <= len(images) <= 3 * filming.config.web.fps + 2
    start = images[0].index(b"\xff\xd8")
    image = cv2.imdecode(np.frombuffer(images[0][start:], np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (540, 960, 3)
    plain = scene[0].image.resized(960, 540)
    drawn = (np.abs(image.astype(int) - plain).max(axis=2) > 60).sum()
    assert drawn > 500


@pytest.mark.usefixtures("short_stall")
def test_stalled_viewers_cost_no_cpu_and_are_disconnected(filming):
    with ExitStack() as stack:
        for _ in range(STALLED_VIEWERS):
            stack.enter_context(viewer(filming, buffer=4096))
        until(lambda: filming.server._live.streams.total() == STALLED_VIEWERS, 10)
        time.sleep(2)  # until all buffers are full
        process = psutil.Process()
        before, started = process.cpu_times(), time.monotonic()
        time.sleep(3)
        after, seconds = process.cpu_times(), time.monotonic() - started
        spent = (after.user + after.system - before.user - before.system) / seconds
        assert spent < 0.1, f"{spent:.0%} of a core"
        until(lambda: filming.server._live.streams.total() == 0, http_server.STALLED_MS / 1000 + 30)


def test_number_of_streams_is_limited(filming):
    with ExitStack() as stack:
        for _ in range(MAX_STREAMS):
            stack.enter_context(viewer(filming, "/stream/events"))
        until(lambda: filming.server._live.streams.total() == MAX_STREAMS, 10)
        assert filming.status("/stream/drive.mjpeg") == 503
        assert filming.status("/events") == 200
    until(lambda: filming.server._live.streams.total() == 0, 10)
    assert filming.status("/stream/drive.jpg") == 200


def test_streams_of_a_viewer_leave_room_for_others(locked):
    def first_byte(cookie):
        client = stack.enter_context(closing(open_stream(port, "/stream/events", cookie=cookie)))
        return client.recv(12)

    port, greedy = locked.config.web.port, locked.cookie(VIEWER_PASSWORD)
    other, admin = locked.cookie(VIEWER_PASSWORD), locked.cookie(PASSWORD)
    with ExitStack() as stack:
        found = [first_byte(greedy) for _ in range(24)]
        assert found.count(b"HTTP/1.1 200") == MAX_SESSION_STREAMS
        assert found.count(b"HTTP/1.1 503") == 24 - MAX_SESSION_STREAMS
        assert first_byte(other) == b"HTTP/1.1 200"
        for _ in range(2):
            more = locked.cookie(VIEWER_PASSWORD)
            for _ in range(MAX_SESSION_STREAMS):
                first_byte(more)
        assert locked.server._live.streams.total() == MAX_VIEWER_STREAMS
        assert first_byte(admin) == b"HTTP/1.1 200"


def test_stop_ends_streams(filming):
    with viewer(filming, "/stream/events") as client:
        assert b"event: state" in client.recv(4096) + client.recv(4096)
        filming.server.stop()
        until(lambda: not client.recv(4096), 5)
