"""Pictures and events as streams: what they carry, and what viewers cost that take nothing."""

import itertools
import socket
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import replace

import cv2
import numpy as np
import psutil
import pytest

from plateid.config.service import WebConfig
from plateid.core.records import PlateEvent
from plateid.web import connections
from plateid.web.live import MAX_STREAMS, Live
from tests.support.broker import until
from tests.support.samples import event

STUCK = 20


def connect(box, path, *, receive=None):
    client = socket.socket()
    if receive:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    client.settimeout(10)
    client.connect(("127.0.0.1", box.config.web.port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return client


@pytest.fixture
def impatient(monkeypatch):
    """The kernel cuts viewers off sooner, so that nobody waits here; asked for before `box`."""
    monkeypatch.setattr(connections, "STALLED_MS", 5000)


@pytest.fixture
def filming(box, scene):
    """Ten frames a second, as from a camera."""
    frame, plates = scene
    stop = threading.Event()

    def film():
        for sequence in itertools.count():
            box.server.show(replace(frame, camera="drive", sequence=sequence), plates)
            if stop.wait(0.1):
                return

    thread = threading.Thread(target=film)
    thread.start()
    yield box
    stop.set()
    thread.join()


@pytest.mark.parametrize("path", ["/stream/events", "/stream/drive.mjpeg"])
def test_a_proxy_is_asked_to_hold_no_part_back(box, path):
    with closing(connect(box, path)) as client:
        assert b"\r\nx-accel-buffering: no\r\n" in client.recv(4096)


def test_events_of_several_workers_have_numbers_in_order():
    live = Live(WebConfig(), ["drive"])

    class Overtaken(PlateEvent):
        def to_json(self):
            live.publish(event(2))
            return super().to_json()

    live.publish(Overtaken(**vars(event(1))))
    assert [number for number, _ in live.events_after(0)] == [1, 2]


def test_a_stream_is_pictures_with_boxes_at_the_rate_that_is_set(filming, scene):
    with closing(connect(filming, "/stream/drive.mjpeg")) as client:
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


@pytest.mark.usefixtures("impatient")
def test_viewers_that_take_nothing_cost_nothing_and_are_cut_off(filming):
    with ExitStack() as stack:
        for _ in range(STUCK):
            stack.enter_context(closing(connect(filming, "/stream/drive.mjpeg", receive=4096)))
        until(lambda: filming.server._live.streams == STUCK, 10)
        time.sleep(2)  # until all buffers are full
        process = psutil.Process()
        before, started = process.cpu_times(), time.monotonic()
        time.sleep(3)
        after, seconds = process.cpu_times(), time.monotonic() - started
        spent = (after.user + after.system - before.user - before.system) / seconds
        assert spent < 0.1, f"{spent:.0%} of a core"
        until(lambda: filming.server._live.streams == 0, connections.STALLED_MS / 1000 + 30)


def test_there_are_no_more_streams_than_the_box_can_bear(filming):
    with ExitStack() as stack:
        for _ in range(MAX_STREAMS):
            stack.enter_context(closing(connect(filming, "/stream/events")))
        until(lambda: filming.server._live.streams == MAX_STREAMS, 10)
        assert filming.ask("/stream/drive.mjpeg")[0] == 503
        assert filming.ask("/events")[0] == 200
    until(lambda: filming.server._live.streams == 0, 10)
    assert filming.ask("/stream/drive.jpg")[0] == 200


def test_a_stop_does_not_wait_for_viewers(filming):
    with closing(connect(filming, "/stream/events")) as client:
        assert b"event: state" in client.recv(4096) + client.recv(4096)
        filming.server.stop()
        until(lambda: not client.recv(4096), 5)
