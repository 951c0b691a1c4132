"""Requests that no browser sends: none raises an exception, and the next request is served."""

import re
import socket
import time
from contextlib import ExitStack, closing, suppress

import pytest

from plateid import http_server
from plateid.web import guard
from tests.support.broker import until
from tests.web.conftest import PASSWORD, TOKEN, VIEWER_PASSWORD
from tests.web.viewer import open_stream

FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
CHUNKED = FORM + b"Transfer-Encoding: chunked\r\n"


def request(head: bytes, headers: bytes = b"", body: bytes = b"") -> bytes:
    return b"%b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%b\r\n%b" % (
        head,
        headers,
        body,
    )


def form(body: bytes, headers: bytes = FORM) -> bytes:
    return request(b"POST /login", headers + b"Content-Length: %d\r\n" % len(body), body)


def statuses(port: int, data: bytes, timeout_s: float = 15) -> list[int]:
    """Returns the statuses of all responses until the server closes the connection."""
    received = b""
    client = socket.create_connection(("127.0.0.1", port), timeout_s)
    with closing(client), suppress(ConnectionError):  # it may close before it has read everything
        client.sendall(data)
        while part := client.recv(1 << 16):
            received += part
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (form(b"password=\x00%00a"), 403),
        (form(b"password=\xff\xfe"), 400),
        (form(b"password=%ED%A0%80"), 400),
        (form(b"password=" + b"x" * 100_000), 403),
        (form(b"&" * 100_000), 400),
        (form(b"a=" + b"x" * 1_000_000), 413),
        (form(b"{}", b"Content-Type: application/json\r\n"), 415),
        (form(b"--x", b"Content-Type: multipart/form-data; boundary=x\r\n"), 415),
        (form(b"\x1f\x8b\x08", FORM + b"Content-Encoding: gzip\r\n"), 400),
        (request(b"POST /login", CHUNKED, b"9\r\npassword=\r\n1\r\nx\r\n0\r\n\r\n"), 403),
        (request(b"POST /login", CHUNKED, b"1;" + b"a" * 9000 + b"\r\nx\r\n0\r\n\r\n"), 403),
        (request(b"POST /login", CHUNKED, b"x\r\n"), 400),
        (request(b"POST /login", FORM + b"Content-Length: +1\r\n", b"x"), 400),
        (request(b"POST /login", FORM + b"Content-Length: " + b"9" * 5000 + b"\r\n"), 400),
        (request(b"POST /login", FORM + b"Transfer-Encoding: gzip, chunked\r\n"), 400),
        (request(b"GET /" + b"a/" * 20_000), 404),
        (request(b"GET /static/" + b"a" * 300), 404),
        (request(b"GET /static/%00"), 404),
        (request(b"GET /static/%ff%fe"), 404),
        (
            request(
                b"GET /static/style.css", b"Range: bytes=" + b",".join(1000 * [b"0-"]) + b"\r\n"
            ),
            200,
        ),
        (request(b"GET /static/style.css", b"Range: bytes=" + b"9" * 5000 + b"-\r\n"), 400),
        (request(b"GET /static/style.css", b"Range: bytes=9-1\r\n"), 400),
        (request(b"GET /static/style.css", b"Range: bytes=0-3\r\nIf-Range: \xff\r\n"), 200),
        (request(b"GET /events.csv", b"Range: bytes=0-1\r\n"), 200),
        (request(b"GET /events", b"A: b\r\n" * 9000), 200),
        (request(b"GET /events", b'Cookie: plateid=\xff\x80"\\;;=;\r\n'), 200),
        (request(b"GET /events", b"Cookie: " + b"a=b; " * 9000 + b"\r\n"), 200),
        (request(b"GET /events?" + b"&".join(b"a%d=1" % n for n in range(8000))), 400),
        (request(b"GET /events?plate=%00&camera=%00%ff"), 400),
        (request(b"GET /events?camera=%F0%9F%98%80%ED%A0%80"), 200),
        (request(b"GET /events?limit=1e308&min=nan"), 400),
        (request(b"GET /events?since=0001-01-01&until=9999-12-31"), 400),
        (request(b"GET /lists?row=%D9%A1"), 200),
        (request(b"GET /api/v1/events", b"Authorization: Bearer \xff\xfe\r\n"), 401),
        (request(b"GET http://evil.example/events"), 404),
        (request(b"CONNECT evil.example:80"), 404),
        (request(b"OPTIONS *"), 404),
        (request(b"GET /events", b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"), 200),
        (request(b"GET /events", b"Content-Length: 1000000000\r\n"), 200),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 403),
        (b"GET /events HTTP/1.1\r\n\r\n", 400),
    ],
)
def test_hostile_request_is_answered_and_logs_no_exception(device, logs, data, expected):
    assert statuses(device.config.web.port, data)[0] == expected
    assert not [each for each in logs if each["log_level"] == "error"]
    assert device.status("/events") == 200


def test_pipelined_requests_are_answered_in_order(locked):
    data = b"GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100 + request(b"GET /api/")
    assert statuses(locked.config.web.port, data) == [*100 * [200], 401]


def test_body_that_trickles_after_its_answer_ends_the_connection(device, monkeypatch):
    monkeypatch.setattr(http_server, "REQUEST_HEADER_TIMEOUT_S", 1.0)
    address = ("127.0.0.1", device.config.web.port)
    with closing(socket.create_connection(address, 10)) as client:
        client.sendall(b"GET /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\n")
        started = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() - started < 8:
                client.sendall(b"x")
                time.sleep(0.2)
        assert time.monotonic() - started < 8


def test_connections_of_one_address_leave_room_for_others(locked, monkeypatch):
    monkeypatch.setattr(http_server, "MAX_OPEN_OF_ADDRESS", 5)
    address = ("127.0.0.1", locked.config.web.port)
    with ExitStack() as stack:
        for _ in range(9):
            client = socket.create_connection(address, 10, source_address=("127.0.0.3", 0))
            stack.enter_context(closing(client))
        until(locked.is_served, 5)
        assert client.recv(1) == b""


def test_requests_of_one_login_leave_room_for_others(locked, monkeypatch):
    monkeypatch.setattr(guard, "MAX_SESSION_REQUESTS", 3)
    port, viewer, admin = locked.config.web.port, *map(locked.cookie, (VIEWER_PASSWORD, PASSWORD))
    with ExitStack() as stack:
        for _ in range(3):
            client = open_stream(port, "/stream/events", cookie=viewer)
            stack.enter_context(closing(client))
            assert client.recv(12) == b"HTTP/1.1 200"
        assert locked.status("/events", Cookie=viewer) == 503
        assert locked.status("/events", Cookie=admin) == 200
        assert locked.status("/api/v1/events", Authorization=f"Bearer {TOKEN}") == 200
    until(lambda: locked.status("/events", Cookie=viewer) == 200)
