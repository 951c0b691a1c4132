"""How the page's server takes connections: who says nothing, too much or nonsense, and TLS."""

import http.client
import re
import socket
import ssl
from contextlib import ExitStack, closing, suppress

import pytest

from plateid.store.event_store import EventStore
from plateid.web import connections, guard
from plateid.web.credentials import (
    Credentials,
    credentials_file,
    hash_password,
    write_credentials,
)
from plateid.web.server import WebServer
from tests.support.broker import until
from tests.support.certificates import Authority
from tests.support.samples import make_health
from tests.web.conftest import served
from tests.web.test_access import FORM, PASSWORD


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),  # TLS, where none is
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
def test_what_is_no_request_is_refused_and_the_next_one_served(box, monkeypatch, request_):
    monkeypatch.setattr(connections, "REQUEST_HEADER_TIMEOUT_S", 1.0)
    with closing(socket.create_connection(("127.0.0.1", box.config.web.port), 10)) as client:
        client.settimeout(10)
        with suppress(ConnectionError):  # it may hang up before it has all
            client.sendall(request_)
            answer = client.recv(100)
            assert answer == b"" or re.match(rb"HTTP/1\.1 4\d\d ", answer)
    assert box.ask("/events")[0] == 200


@pytest.mark.parametrize("headers", [{"Host": "["}, {"Origin": "http://["}])
def test_an_address_that_is_none_is_refused(box, logs, headers):
    assert box.ask("/lists", {"do": "save"}, **headers)[0] == 400
    assert [entry["event"] for entry in logs if "failed" in entry["event"]] == []


def test_a_form_that_comes_slowly_is_given_up_and_holds_up_nobody(box, monkeypatch):
    monkeypatch.setattr(guard, "BODY_TIMEOUT_S", 0.5)
    with closing(socket.create_connection(("127.0.0.1", box.config.web.port), 10)) as client:
        head = f"POST /lists HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
        client.sendall(f"{head}Content-Length: 1000\r\n\r\ncsrf=".encode())
        assert box.ask("/events")[0] == 200
        assert client.recv(100).startswith(b"HTTP/1.1 408 ")


def test_who_connects_and_says_nothing_is_hung_up_on(box, monkeypatch):
    monkeypatch.setattr(connections, "REQUEST_HEADER_TIMEOUT_S", 1.0)
    with closing(socket.create_connection(("127.0.0.1", box.config.web.port))) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        client.settimeout(15)
        assert client.recv(100) == b""


def test_who_asks_once_and_then_half_a_thing_is_hung_up_on(box, monkeypatch):
    monkeypatch.setattr(connections, "REQUEST_HEADER_TIMEOUT_S", 1.0)
    with closing(socket.create_connection(("127.0.0.1", box.config.web.port))) as client:
        client.settimeout(15)
        client.sendall(b"GET /static/style.css HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        client.sendall(b"G")
        while client.recv(1 << 16):
            pass


def test_only_so_many_are_connected_at_once(box, monkeypatch):
    monkeypatch.setattr(connections, "MAX_OPEN", 5)
    address = ("127.0.0.1", box.config.web.port)
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(address)) for _ in range(9)]
        until(lambda: sum(map(is_hung_up_on, clients)) == 4)
    until(lambda: is_served(box))


def is_hung_up_on(client):
    try:
        return client.recv(1, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


def is_served(box):
    try:
        return box.ask("/events")[0] == 200
    except OSError:
        return False


@pytest.mark.parametrize("text", ['host = "0.0.0.0"', 'proxy = "127.0.0.1"'])
def test_others_are_not_served_before_there_is_a_password(tmp_path, logs, text):
    config = served(tmp_path, text)
    with closing(EventStore(config.store.path)) as store:
        server = WebServer(config, make_health(store, cameras=("drive", "yard")).report)
        server.check()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", config.web.port))
        (outage,) = [entry for entry in logs if entry["event"] == "outage starts"]
        assert "plateid web set-password" in outage["reason"]
        write_credentials(credentials_file(config.store.path), Credentials(hash_password(PASSWORD)))
        until(lambda: server.check() or server._running, 10)
        server.stop()


def test_a_port_that_is_taken_is_an_outage_and_nothing_else(tmp_path, logs):
    config = served(tmp_path, "")
    with closing(EventStore(config.store.path)) as store:
        server = WebServer(config, make_health(store).report)
        with socket.create_server(("127.0.0.1", config.web.port)):
            server.check()
        (outage,) = [entry for entry in logs if entry["event"] == "outage starts"]
        assert "Address already in use" in outage["reason"]


def test_with_a_certificate_it_is_https_and_the_cookie_is_for_https_only(tmp_path):
    issued = Authority(tmp_path).issue("127.0.0.1")
    config = served(tmp_path, f'certificate_file = "{issued.file}"\nkey_file = "{issued.key}"')
    write_credentials(credentials_file(config.store.path), Credentials(hash_password(PASSWORD)))
    with closing(EventStore(config.store.path)) as store:
        server = WebServer(config, make_health(store).report)
        server.check()
        context = ssl.create_default_context(cafile=tmp_path / "authority.pem")
        port = config.web.port
        with closing(http.client.HTTPSConnection("127.0.0.1", port, context=context)) as client:
            client.request("POST", "/login", f"password={PASSWORD}", {"Content-Type": FORM})
            answer = client.getresponse()
            assert answer.status == 303
            assert "; Secure" in answer.headers["Set-Cookie"]
        server.stop()


def test_a_renewed_certificate_is_served_without_a_restart(tmp_path, logs):
    old = Authority(tmp_path).issue("127.0.0.1")
    config = served(tmp_path, f'certificate_file = "{old.file}"\nkey_file = "{old.key}"')
    write_credentials(credentials_file(config.store.path), Credentials(hash_password(PASSWORD)))
    address = "127.0.0.1", config.web.port
    with closing(EventStore(config.store.path)) as store:
        server = WebServer(config, make_health(store).report)
        server.check()
        before, key = ssl.get_server_certificate(address), old.key.read_bytes()
        Authority(tmp_path).issue("127.0.0.1")
        new = old.key.read_bytes()
        old.key.write_bytes(key)
        server.check()
        (outage,) = [entry for entry in logs if entry["event"] == "outage starts"]
        files = f"{old.file}, {old.key}"
        assert outage["reason"] == f"web.certificate_file: {files}: key values mismatch"
        assert ssl.get_server_certificate(address) == before
        old.key.write_bytes(new)
        until(lambda: server.check() or ssl.get_server_certificate(address) != before)
        server.stop()


@pytest.mark.parametrize("text", ["", "no certificate"])
def test_a_certificate_that_is_none_is_an_outage_that_names_it(tmp_path, logs, text):
    if text:
        (tmp_path / "web.pem").write_text(text)
    config = served(tmp_path, 'certificate_file = "web.pem"')
    with closing(EventStore(config.store.path)) as store:
        WebServer(config, make_health(store).report).check()
        (outage,) = [entry for entry in logs if entry["event"] == "outage starts"]
        assert "web.pem" in outage["reason"]
