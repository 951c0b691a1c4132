"""Connections of the web server: invalid, slow and too many requests, and TLS."""

import http.client
import re
import socket
import ssl
from contextlib import ExitStack, closing, contextmanager, suppress

import pytest

from plateid import http_server
from plateid.store.event_store import EventStore
from plateid.web import guard, throttle
from plateid.web.credentials import Credentials, credentials_file, write_credentials
from plateid.web.server import WebServer
from tests.support.broker import until
from tests.support.certificates import Authority
from tests.support.samples import NO_HOOKS, make_health
from tests.web.conftest import PASSWORD, passwords, write_config

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def short_timeout(monkeypatch):
    monkeypatch.setattr(http_server, "REQUEST_HEADER_TIMEOUT_S", 1.0)


def connect(device):
    client = socket.create_connection(("127.0.0.1", device.config.web.port), 15)
    return closing(client), client


@contextmanager
def web_server(folder, more):
    """A server with more keys in its section `[web]`, not started yet."""
    config = write_config(folder, more)
    with closing(EventStore(config.store.path)) as store:
        server = WebServer(
            config, make_health(store, cameras=("drive", "yard")).report, hooks=NO_HOOKS
        )
        yield config, server
        server.stop()


def set_password(config):
    file = credentials_file(config.store.path, config.web)
    write_credentials(file, Credentials(passwords(PASSWORD)))


def outage_reason(logs):
    (outage,) = [entry for entry in logs if entry["event"] == "outage starts"]
    return outage["reason"]


@pytest.mark.usefixtures("short_timeout")
@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),  # TLS without TLS
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /\x00\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n",
        b"POST /lists HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        (
            b"POST /lists HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /lists HTTP/1.1\r\n\r\n"
        ),
        b"\r\n" * 1000,
    ],
)
def test_invalid_request_is_rejected_and_the_next_one_served(device, request_):
    closed, client = connect(device)
    with closed, suppress(ConnectionError):  # the server may close before it has read everything
        client.sendall(request_)
        answer = client.recv(100)
        assert answer == b"" or re.match(rb"HTTP/1\.1 4\d\d ", answer)
    assert device.status("/events") == 200


@pytest.mark.parametrize("headers", [{"Host": "["}, {"Origin": "http://["}])
def test_invalid_address_in_a_header_is_rejected(device, logs, headers):
    assert device.status("/lists", {"do": "save"}, **headers) == 400
    assert [entry["event"] for entry in logs if "exception" in entry["event"]] == []


def test_slow_form_times_out_and_blocks_no_other_request(device, monkeypatch):
    monkeypatch.setattr(guard, "BODY_TIMEOUT_S", 0.5)
    closed, client = connect(device)
    with closed:
        head = f"POST /lists HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
        client.sendall(f"{head}Content-Length: 1000\r\n\r\ncsrf=".encode())
        assert device.status("/events") == 200
        assert client.recv(100).startswith(b"HTTP/1.1 408 ")


@pytest.mark.usefixtures("short_timeout")
@pytest.mark.parametrize("first", [b"", b"GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_incomplete_request_header_times_out(device, first):
    closed, client = connect(device)
    with closed:
        if first:
            client.sendall(first)
            assert client.recv(100).startswith(b"HTTP/1.1 303 ")
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        while client.recv(1 << 16):
            pass


def test_connections_above_the_limit_are_closed(device, monkeypatch):
    monkeypatch.setattr(http_server, "MAX_OPEN", 5)
    address = ("127.0.0.1", device.config.web.port)
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(address)) for _ in range(9)]
        until(lambda: sum(map(is_closed, clients)) == 4)
    until(device.is_served)


def is_closed(client):
    try:
        return client.recv(1, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


@pytest.mark.parametrize(
    "more", ['host = "0.0.0.0"', 'proxy = "127.0.0.1"', 'host = "0.0.0.0"\nusers_file = "users"']
)
def test_public_server_starts_once_it_has_a_password(tmp_path, logs, more):
    with web_server(tmp_path, more) as (config, server):
        server.check()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", config.web.port))
        assert "plateid web set-password" in outage_reason(logs)
        set_password(config)
        until(lambda: server.check() or server._running, 10)


def test_wrong_passwords_behind_a_proxy_count_for_the_client_that_it_names(tmp_path):
    def status(password, forwarded):
        headers = {"Content-Type": FORM, "X-Forwarded-For": forwarded}
        with closing(http.client.HTTPConnection("127.0.0.1", config.web.port)) as client:
            client.request("POST", "/login", f"password={password}", headers)
            return client.getresponse().status

    with web_server(tmp_path, 'proxy = "127.0.0.1"') as (config, server):
        set_password(config)
        server.check()
        forged = [status("wrong", f"198.51.100.{number}, 192.0.2.1") for number in range(6)]
        assert forged == [*throttle.FREE_ATTEMPTS * [403], 429]
        assert status(PASSWORD, "192.0.2.1") == 429
        assert status(PASSWORD, "192.0.2.2") == 303
        assert status(PASSWORD, "unknown") == 303


def test_port_in_use_is_an_outage(tmp_path, logs):
    with web_server(tmp_path, "") as (config, server):
        with socket.create_server(("127.0.0.1", config.web.port)):
            server.check()
        assert "Address already in use" in outage_reason(logs)


def test_certificate_enables_https_and_secure_cookies(tmp_path):
    issued = Authority(tmp_path).issue("127.0.0.1")
    more = f'certificate_file = "{issued.file}"\nkey_file = "{issued.key}"'
    with web_server(tmp_path, more) as (config, server):
        set_password(config)
        server.check()
        context = ssl.create_default_context(cafile=tmp_path / "authority.pem")
        port = config.web.port
        with closing(http.client.HTTPSConnection("127.0.0.1", port, context=context)) as client:
            client.request("POST", "/login", f"password={PASSWORD}", {"Content-Type": FORM})
            answer = client.getresponse()
            assert answer.status == 303
            assert "; Secure" in answer.headers["Set-Cookie"]


def test_renewed_certificate_is_served_without_a_restart(tmp_path, logs):
    old = Authority(tmp_path).issue("127.0.0.1")
    more = f'certificate_file = "{old.file}"\nkey_file = "{old.key}"'
    with web_server(tmp_path, more) as (config, server):
        set_password(config)
        address = "127.0.0.1", config.web.port
        server.check()
        before, key = ssl.get_server_certificate(address), old.key.read_bytes()
        Authority(tmp_path).issue("127.0.0.1")
        new = old.key.read_bytes()
        old.key.write_bytes(key)
        server.check()
        files = f"{old.file}, {old.key}"
        assert outage_reason(logs) == f"web.certificate_file: {files}: key values mismatch"
        assert ssl.get_server_certificate(address) == before
        old.key.write_bytes(new)
        until(lambda: server.check() or ssl.get_server_certificate(address) != before)


@pytest.mark.parametrize("text", ["", "no certificate"])
def test_missing_or_invalid_certificate_is_an_outage_that_names_it(tmp_path, logs, text):
    if text:
        (tmp_path / "web.pem").write_text(text)
    with web_server(tmp_path, 'certificate_file = "web.pem"') as (_, server):
        server.check()
        assert "web.pem" in outage_reason(logs)
