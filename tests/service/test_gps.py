"""gpsd itself, fed by a receiver that speaks NMEA over TCP; and servers that are none."""

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plateid.config.service import GpsConfig
from plateid.core.records import Position
from plateid.service import gps
from plateid.service.gps import Gpsd, NoGps, position_of
from tests.support.broker import free_port, until
from tests.support.samples import QUICK, said

FIX = Position(44.426666667, 26.1)


class Receiver:
    """Says every 0.1 s where it is, to whoever listens."""

    def __init__(self) -> None:
        self.fixed = True
        self._stop = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while not self._stop.is_set():
                with self._server.accept()[0] as listener, suppress(OSError):
                    while not self._stop.wait(0.1):
                        listener.sendall(self._sentence())

    def _sentence(self) -> bytes:
        now, state = datetime.now(UTC), "A" if self.fixed else "V"
        where = "4425.6000,N,02606.0000,E,0.0,0.0" if self.fixed else ",,,,,"
        time_of_day = f"{now:%H%M%S}.{now.microsecond // 10000:02}"
        text = f"GPRMC,{time_of_day},{state},{where},{now:%d%m%y},,,{state}"
        checksum = 0
        for byte in text.encode():
            checksum ^= byte
        return f"${text}*{checksum:02X}\r\n".encode()


@contextmanager
def running_gpsd(port: int, receiver: Receiver) -> Iterator[None]:
    source = f"tcp://127.0.0.1:{receiver.port}"
    with subprocess.Popen(["/usr/sbin/gpsd", "-N", "-n", "-S", str(port), source]) as process:
        try:
            yield
        finally:
            process.kill()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with closing(Receiver()) as made:
        yield made


@contextmanager
def listening(port: int, **changes) -> Iterator[Gpsd]:
    client = Gpsd(GpsConfig(port=port, **changes), backoff=QUICK)
    client.start()
    try:
        yield client
    finally:
        client.stop()


@contextmanager
def saying(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that gives each client one answer, and hangs up."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                with server.accept()[0] as client, suppress(OSError):
                    answer(client)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        server.close()


def test_the_position_is_that_of_gpsd(receiver):
    port = free_port()
    with running_gpsd(port, receiver), listening(port) as client:
        until(client.position)
        assert client.position() == FIX


def test_a_receiver_without_a_fix_gives_no_position_and_an_old_one_is_none(receiver):
    port = free_port()
    with running_gpsd(port, receiver), listening(port, max_age_s=0.5) as client:
        until(client.position)
        receiver.fixed = False
        until(lambda: client.position() is None)
        receiver.fixed = True
        until(client.position)


def test_a_gpsd_that_comes_late_or_again_is_found(receiver, logs):
    port = free_port()
    with listening(port, max_age_s=0.5) as client:
        until(lambda: said(logs, "outage starts"))
        for _ in range(2):
            with running_gpsd(port, receiver):
                until(client.position)
            until(lambda: client.position() is None)
    assert "Connection refused" in said(logs, "outage starts")[0]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"hello\n", "not JSON$"),
        (b"[1]\n", "not a report$"),
        (b"\xff\xfe\n", "not JSON"),
        (b"[" * 60000 + b"\n", "not JSON"),
        (b"x" * 200000, "a line is longer than 65536 bytes"),
        (b"", "connection lost"),
    ],
)
def test_who_is_no_gpsd_is_an_outage_that_is_said(answer, reason, logs):
    with saying(lambda client: client.sendall(answer)) as port, listening(port) as client:
        until(lambda: said(logs, "outage starts") + said(logs, "outage goes on"))
        until(lambda: _is_said(logs, reason))
        assert client.position() is None


def test_a_host_that_cannot_be_one_is_an_outage(logs):
    with listening(2947, host="a..b"):
        until(lambda: said(logs, "outage starts"))


def _is_said(logs, reason: str) -> bool:
    import re

    reasons = said(logs, "outage starts") + said(logs, "outage goes on")
    return any(re.search(reason, text) for text in reasons)


def test_a_gpsd_without_a_receiver_is_said_once(monkeypatch, logs):
    monkeypatch.setattr(gps, "SILENCE_S", 0.1)
    greeting = b'{"class":"VERSION","release":"3.25"}\n'
    with (
        saying(lambda client: (client.sendall(greeting), time.sleep(0.3))[0]) as port,
        listening(port),
    ):
        until(lambda: said(logs, "outage starts"))
        time.sleep(0.6)
    assert len(said(logs, "outage starts")) == 1
    assert said(logs, "outage ends") == []


def test_without_gps_there_is_no_position():
    nothing = NoGps()
    nothing.start()
    assert nothing.position() is None
    nothing.stop()


@pytest.mark.parametrize(
    "change",
    [
        {"class": "SKY"},
        {"mode": 1},
        {"mode": None},
        {"mode": "3"},
        {"lat": None},
        {"lat": 90.1},
        {"lon": -180.5},
        {"lon": float("nan")},
        {"lon": 10**400},
        {"lat": "44"},
    ],
)
def test_a_report_that_says_no_position_has_none(change):
    report = {"class": "TPV", "mode": 3, "lat": 44.5, "lon": 26.1}
    assert position_of(report) == Position(44.5, 26.1)
    assert position_of(report | change) is None


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none())


@given(
    st.fixed_dictionaries(
        {"class": st.just("TPV")}, optional=dict.fromkeys(["mode", "lat", "lon"], values)
    )
)
def test_any_report_is_a_position_on_earth_or_none(report):
    position = position_of(report)
    assert position is None or (abs(position.lat) <= 90 and abs(position.lon) <= 180)
