"""Faults of real RTSP servers, with the time-outs and waits that are shipped.

A fault is noticed within 15 s, its camera is back within 10 s of the server's return, and frames of
another camera come as if nothing had happened.
"""

import functools
import itertools
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from plateid.app import TICK_S
from plateid.capture.camera import Camera
from plateid.capture.mailbox import Mailboxes
from plateid.config.cameras import CameraConfig
from tests.support.rtsp import RtspServer

NOTICED_S, BACK_S = 15.0, 10.0
LONG_S = 12.0
"""How long a fault lasts after it was noticed: long enough for waits to be at their longest."""
BEAT_S = 0.05
REFUSAL = b"RTSP/1.0 503 Service Unavailable\r\nCSeq: 1\r\n\r\n"


class Watched:
    """Cameras as `plateid run` reads them, with the times of their frames and statuses."""

    def __init__(self, urls: dict[str, str]) -> None:
        self.statuses = {name: [] for name in urls}
        self.changed_at = {name: [] for name in urls}
        self.frames = {name: [] for name in urls}
        self._boxes = Mailboxes(urls)
        self._cameras = [
            Camera(
                CameraConfig(name=name, url=url),
                self._boxes[name],
                on_status=functools.partial(self._on_status, name),
            )
            for name, url in urls.items()
        ]
        self._stopped = threading.Event()

    def _on_status(self, name: str, online: bool) -> None:
        self.changed_at[name].append(time.monotonic())
        self.statuses[name].append(online)

    @contextmanager
    def running(self) -> Iterator[None]:
        work = [camera.run for camera in self._cameras] + [self._take, self._look_after]
        threads = [threading.Thread(target=target) for target in work]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            for camera in self._cameras:
                camera.stop()
            for thread in threads:
                thread.join()

    def _take(self) -> None:
        while frame := self._boxes.wait_any():
            image = frame.image
            self.frames[frame.camera].append((time.monotonic(), image.width, image.height))
            self._boxes.done(frame.camera)

    def _look_after(self) -> None:
        while not self._stopped.wait(TICK_S):
            for camera in self._cameras:
                camera.report_stall()

    def until(self, name: str, *statuses: bool, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while self.statuses[name] != list(statuses):
            assert time.monotonic() < deadline, f"{name}: {self.statuses[name]}"
            time.sleep(0.05)


@contextmanager
def in_its_place(server: RtspServer, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    """Replaces a server by another listener on its port."""
    with socket.create_server(("127.0.0.1", server.port)) as listener, ExitStack() as open_ones:
        listener.settimeout(0.1)
        stopped = threading.Event()

        def serve() -> None:
            while not stopped.is_set():
                try:
                    connection = open_ones.enter_context(listener.accept()[0])
                except TimeoutError:
                    continue
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        stopped.set()
        thread.join()


def refuse(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(REFUSAL)
    connection.close()


def say_nothing(_connection: socket.socket) -> None:
    pass


@contextmanager
def between(begin: Callable[[], None], end: Callable[[], None]) -> Iterator[None]:
    begin()
    yield
    end()


@contextmanager
def another_size(server):
    server.kill()
    server.width, server.height = 480, 352
    yield
    server.start()


@contextmanager
def replaced(server, answer):
    server.kill()
    with in_its_place(server, answer):
        yield
    server.start()


FAULTS = {
    "killed": lambda server: between(server.kill, server.start),
    "resized": another_size,
    "refusing": lambda server: replaced(server, refuse),
    "silent": lambda server: replaced(server, say_nothing),
    "frozen": lambda server: between(server.freeze, server.thaw),
    "muted": lambda server: between(server.mute, server.unmute),
}


@contextmanager
def heartbeat() -> Iterator[list[float]]:
    """Measures how late this machine schedules a thread, seconds."""
    late, stopped = [0.0], threading.Event()

    def beat() -> None:
        while not stopped.is_set():
            began = time.monotonic()
            time.sleep(BEAT_S)
            late.append(time.monotonic() - began - BEAT_S)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield late
    finally:
        stopped.set()
        thread.join()


@pytest.mark.timeout(180)
def test_each_stream_fault_is_reported_and_recovered_without_affecting_other_cameras():
    """Runs all faults at once, one camera each, because the waits are long."""
    with ExitStack() as stack:
        servers = {}
        for name in [*FAULTS, "other"]:
            servers[name] = RtspServer()
            servers[name].start()
            stack.callback(servers[name].kill)
        stalls = stack.enter_context(heartbeat())
        watched = Watched({name: server.url for name, server in servers.items()})
        stack.enter_context(watched.running())
        for name in servers:
            watched.until(name, True, within_s=NOTICED_S)
        began = time.monotonic()
        with ExitStack() as faults:
            for name, fault in FAULTS.items():
                faults.enter_context(fault(servers[name]))
            for name in FAULTS:
                watched.until(name, True, False, within_s=began + NOTICED_S - time.monotonic())
            time.sleep(LONG_S)
            assert all(watched.statuses[name] == [True, False] for name in FAULTS)
        returned = time.monotonic()
        for name in FAULTS:
            left_s = returned + BACK_S - time.monotonic()
            watched.until(name, True, False, True, within_s=left_s)
        ended = time.monotonic()
    for name in FAULTS:
        _, noticed, back = watched.changed_at[name]
        sys.stdout.write(
            f"{name}: noticed after {noticed - began:.1f} s, back after {back - returned:.1f} s\n"
        )
    assert watched.statuses["other"] == [True]
    times = [at for at, *_ in watched.frames["other"] if began <= at <= ended]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert max(gaps) < 1 + max(stalls)
    assert len(times) > 0.8 * 25 * (ended - began)
    assert watched.frames["resized"][-1][1:] == (480, 352)
