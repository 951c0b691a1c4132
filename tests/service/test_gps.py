"""The client of gpsd: with the real gpsd and a simulated NMEA receiver, and with fake servers."""

import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plateid.config.service import GpsConfig
from plateid.core.records import Position
from plateid.errors import GpsError
from plateid.service import gps
from plateid.service.gps import Gpsd, position_of
from tests.support.broker import free_port, until
from tests.support.samples import QUICK, said

FIX = Position(44.426666667, 26.1)


@contextmanager
def tcp_server(handle: Callable[[socket.socket], object]) -> Iterator[int]:
    """Runs a server that handles one client after the other; gives its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                with server.accept()[0] as client, suppress(OSError):
                    handle(client)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        server.close()


class Receiver:
    """A GPS receiver that sends an NMEA sentence every 0.1 s, with or without a fix."""

    def __init__(self) -> None:
        self.has_fix = True
        self.stopping = threading.Event()

    def send_to(self, client: socket.socket) -> None:
        while not self.stopping.wait(0.1):
            client.sendall(self._sentence())

    def _sentence(self) -> bytes:
        now, state = datetime.now(UTC), "A" if self.has_fix else "V"
        position = "4425.6000,N,02606.0000,E,0.0,0.0" if self.has_fix else ",,,,,"
        time_of_day = f"{now:%H%M%S}.{now.microsecond // 10000:02}"
        text = f"GPRMC,{time_of_day},{state},{position},{now:%d%m%y},,,{state}"
        checksum = 0
        for byte in text.encode():
            checksum ^= byte
        return f"${text}*{checksum:02X}\r\n".encode()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    with tcp_server(made.send_to) as made.port:
        yield made
        made.stopping.set()


@contextmanager
def running_gpsd(port: int, receiver: Receiver) -> Iterator[None]:
    source = f"tcp://127.0.0.1:{receiver.port}"
    with subprocess.Popen(["/usr/sbin/gpsd", "-N", "-n", "-S", str(port), source]) as process:
        try:
            yield
        finally:
            process.kill()


@contextmanager
def gps_client(port: int, **changes) -> Iterator[Gpsd]:
    client = Gpsd(GpsConfig(enabled=True, port=port, **changes), backoff=QUICK)
    client.start()
    try:
        yield client
    finally:
        client.stop()


def outage_reasons(logs) -> list[str]:
    return said(logs, "outage starts") + said(logs, "outage goes on")


def test_position_is_that_of_gpsd(receiver):
    port = free_port()
    with running_gpsd(port, receiver), gps_client(port) as client:
        until(client.position)
        assert client.position() == FIX


def test_old_position_expires_without_a_fix(receiver):
    port = free_port()
    with running_gpsd(port, receiver), gps_client(port, max_age_s=0.5) as client:
        until(client.position)
        receiver.has_fix = False
        until(lambda: client.position() is None)
        receiver.has_fix = True
        until(client.position)


def test_client_connects_after_late_start_and_restart_of_gpsd(receiver, logs):
    port = free_port()
    with gps_client(port, max_age_s=0.5) as client:
        until(lambda: said(logs, "outage starts"))
        for _ in range(2):
            with running_gpsd(port, receiver):
                until(client.position)
            until(lambda: client.position() is None)
    assert "Connection refused" in said(logs, "outage starts")[0]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"hello\n", "not a report in JSON$"),
        (b"[1]\n", "not a report in JSON$"),
        (b"\xff\xfe\n", "not a report in JSON"),
        (b"[" * 60000 + b"\n", "not a report in JSON"),
        (b"x" * 200000, "a line is longer than 65536 bytes"),
        (b"", "connection lost"),
    ],
)
def test_invalid_answer_is_an_outage(answer, reason, logs):
    with tcp_server(lambda client: client.sendall(answer)) as port, gps_client(port) as client:
        until(lambda: any(re.search(reason, text) for text in outage_reasons(logs)))
        assert client.position() is None


def test_invalid_host_name_is_an_outage(logs):
    with gps_client(2947, host="a..b"):
        until(lambda: said(logs, "outage starts"))


def test_gpsd_without_a_receiver_is_one_outage(monkeypatch, logs):
    monkeypatch.setattr(gps, "SILENCE_S", 0.1)

    def greet(client):
        client.sendall(b'{"class":"VERSION","release":"3.25"}\n')
        time.sleep(0.3)

    with tcp_server(greet) as port, gps_client(port):
        until(lambda: said(logs, "outage starts"))
        time.sleep(0.6)
    assert len(said(logs, "outage starts")) == 1
    assert said(logs, "outage ends") == []


def test_check_names_the_position_or_that_there_is_none_yet(receiver):
    port = free_port()
    client = Gpsd(GpsConfig(port=port))
    with running_gpsd(port, receiver):
        until(lambda: not is_refused(client))
        until(lambda: client.check() == f"{FIX.lat}, {FIX.lon}")
        receiver.has_fix = False
        until(lambda: client.check() == "no position yet")


def is_refused(client: Gpsd) -> bool:
    try:
        client.check()
    except GpsError as error:
        return "Connection refused" in str(error)
    return False


def test_check_fails_without_gpsd_and_without_receiver(monkeypatch):
    monkeypatch.setattr(gps, "CHECK_S", 0.1)
    port = free_port()
    with pytest.raises(GpsError, match=f"gpsd 127.0.0.1:{port}: Connection refused"):
        Gpsd(GpsConfig(port=port)).check()
    with (
        tcp_server(lambda client: client.recv(1) and time.sleep(0.3)) as port,
        pytest.raises(GpsError, match="no report for 0 s: is a receiver attached"),
    ):
        Gpsd(GpsConfig(port=port)).check()


def test_device_without_gps_has_no_position():
    nothing = Gpsd(GpsConfig())
    nothing.start()
    assert nothing.position() is None
    nothing.stop()


@pytest.mark.parametrize(
    "change",
    [
        {"class": "SKY"},
        *({"mode": mode} for mode in (1, None, "3")),
        *({"lat": lat} for lat in (None, 90.1, "44")),
        *({"lon": lon} for lon in (-180.5, float("nan"), 10**400)),
    ],
)
def test_report_without_fix_or_with_wrong_values_has_no_position(change):
    report = {"class": "TPV", "mode": 3, "lat": 44.5, "lon": 26.1}
    assert position_of(report) == Position(44.5, 26.1)
    assert position_of(report | change) is None


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none())


@given(
    st.fixed_dictionaries(
        {"class": st.just("TPV")}, optional=dict.fromkeys(["mode", "lat", "lon"], values)
    )
)
def test_any_report_gives_a_position_on_earth_or_none(report):
    position = position_of(report)
    assert position is None or (abs(position.lat) <= 90 and abs(position.lon) <= 180)
