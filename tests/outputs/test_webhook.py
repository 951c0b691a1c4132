"""Webhooks against a real HTTP server: one signed POST per event, and every kind of failure."""

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta

import pytest

from plateid.config.outputs import WebhookConfig
from plateid.core.records import ListMatch, OutboxEntry
from plateid.errors import ConfigError, OutputError, RefusedError
from plateid.outputs.webhook import Webhook, read_secret, signature
from tests.core.test_schema import VALIDATOR
from tests.support.broker import free_port
from tests.support.certificates import Authority
from tests.support.samples import SEEN, event
from tests.support.web_server import WebServer

SECRET = base64.b64encode(bytes(range(32))).decode()


def webhook(port, path="/hook", **settings):
    return Webhook(WebhookConfig(name="gate", url=f"http://127.0.0.1:{port}{path}", **settings))


def entry(*, sent=False, **changes):
    return OutboxEntry(event(1, **{"id": SEEN.id} | changes), sent=sent)


@pytest.mark.parametrize("sent", [True, False])
def test_event_is_one_unsigned_post_in_the_schema(server, sent):
    webhook(server.port, "/a/b?token=1").deliver(entry(sent=sent))
    (post,) = server.posts
    assert post.path == "/a/b?token=1"
    assert post.headers["Content-Type"] == "application/json"
    assert "webhook-signature" not in post.headers
    body = json.loads(post.body)
    VALIDATOR.validate(body)
    assert body["sent_at"] is not None
    assert body["replayed"] is sent


def test_signature_is_that_of_standard_webhooks(server, tmp_path):
    (tmp_path / "secret").write_text(f"whsec_{SECRET}\n")
    webhook(server.port, secret_file=tmp_path / "secret").deliver(entry())
    (post,) = server.posts
    id_, stamp = post.headers["webhook-id"], post.headers["webhook-timestamp"]
    signed = f"{id_}.{stamp}.".encode() + post.body
    mac = hmac.new(base64.b64decode(SECRET), signed, hashlib.sha256).digest()
    assert post.headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"
    assert id_ == SEEN.id
    assert abs(int(stamp) - time.time()) < 60


def test_signature_is_that_of_the_example_in_the_specification():
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({"lists": ()}, True),
        ({"lists": ("allow", "deny")}, True),
        ({"lists": ("allow",)}, False),
        ({"lists": ("none",)}, False),
        ({"cameras": ("gate", "yard")}, True),
        ({"cameras": ("yard",)}, False),
        ({"events": ("plate_seen",)}, True),
        ({"events": ("plate_left",)}, False),
        ({"max_age_s": 60}, True),
        ({"max_age_s": 5}, False),
        ({"max_age_s": 5, "ahead_s": 60}, False),  # the clock was set back since
    ],
)
def test_listed_event_is_sent_if_the_configuration_selects_it(server, settings, sent):
    settings, seen = {**settings}, datetime.now(UTC) - timedelta(seconds=20)
    seen += timedelta(seconds=settings.pop("ahead_s", 0))
    made = entry(first_seen=seen, last_seen=seen, list=ListMatch("Ana", "deny", 0))
    assert webhook(server.port, **settings).deliver(made) is sent
    assert bool(server.posts) is sent


@pytest.mark.parametrize(("lists", "sent"), [((), True), (("allow",), False), (("none",), True)])
def test_unlisted_event_is_sent_if_the_configuration_selects_it(server, lists, sent):
    assert webhook(server.port, lists=lists).deliver(entry()) is sent


@pytest.mark.parametrize(
    ("statuses", "error"),
    [
        ((301, 307, 401, 404, 408, 410, 429, 500, 503), OutputError),
        ((400, 413, 422), RefusedError),
    ],
)
def test_other_status_than_success_is_an_error_or_a_refusal(server, statuses, error):
    for posts, status in enumerate(statuses, 1):
        server.status = status
        reason = f"http://127.0.0.1:{server.port}: answers {status}"
        with pytest.raises(OutputError, match=reason) as raised:
            webhook(server.port).deliver(entry())
        assert type(raised.value) is error
        assert len(server.posts) == posts, "a redirect is not followed"


def test_refused_signature_is_an_error_since_the_secret_may_be_corrected(server, tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    server.status = 400
    with pytest.raises(OutputError, match="answers 400") as raised:
        webhook(server.port, secret_file=tmp_path / "secret").deliver(entry())
    assert type(raised.value) is OutputError


def test_server_that_is_away_or_silent_is_an_error(server):
    port = free_port()
    with pytest.raises(OutputError, match=f"http://127.0.0.1:{port}: Connection refused"):
        webhook(port).deliver(entry())
    server.status = None
    with pytest.raises(OutputError, match="timed out"):
        webhook(server.port, timeout_s=0.1).deliver(entry())


def test_server_that_answers_byte_by_byte_times_out():
    def trickle(listener):
        with listener.accept()[0] as client, suppress(OSError):
            client.sendall(b"HTTP/1.1 204 ")
            for _ in range(40):
                time.sleep(0.05)
                client.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=trickle, args=[listener])
        thread.start()
        with pytest.raises(OutputError, match="timed out"):
            webhook(listener.getsockname()[1], timeout_s=0.2).deliver(entry())
        thread.join()


def test_addresses_of_a_host_share_the_time_out(monkeypatch):
    known = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: 8 * known(*a, **k))
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port, began = full.getsockname()[1], time.monotonic()
        with (
            socket.create_connection(("127.0.0.1", port)),
            pytest.raises(OutputError, match="timed"),
        ):
            webhook(port, timeout_s=0.4).deliver(entry())
    assert time.monotonic() - began < 8 * 0.4 / 2


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://[fd00::5]/hook", ("fd00::5", 80)),
        ("https://[fd00::abcd]", ("fd00::abcd", 443)),
        ("http://[::1]:8080", ("::1", 8080)),
        ("https://localhost", ("localhost", 443)),
    ],
)
def test_url_without_a_port_has_the_default_port(url, address):
    connection = Webhook(WebhookConfig(name="gate", url=url))._connection()
    assert (connection.host, connection.port) == address


def test_secrets_in_a_url_are_not_in_the_error():
    with pytest.raises(OutputError) as raised:
        webhook(free_port(), "/api/webhook/SECRET?token=SECRET").deliver(entry())
    assert "SECRET" not in str(raised.value)


def test_certificate_is_checked(tmp_path):
    authority = Authority(tmp_path)
    with closing(WebServer(authority.issue("127.0.0.1"))) as server:
        config = WebhookConfig(name="gate", url=f"https://127.0.0.1:{server.port}/")
        with pytest.raises(OutputError, match="certificate is refused: unable to get local issuer"):
            Webhook(config).deliver(entry())
        Webhook(config.model_copy(update={"ca_file": authority.certificate.file})).deliver(entry())
        assert len(server.posts) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("secret!", "secret: is not base64, as of `openssl rand -base64 32`"),
        ("é" * 40, "secret: is not base64"),
        ("", "secret: holds 0 bytes; a secret has 24 to 64"),
        (base64.b64encode(bytes(23)).decode(), "secret: holds 23 bytes"),
        (base64.b64encode(bytes(65)).decode(), "secret: holds 65 bytes"),
        (None, "secret: No such file"),
    ],
)
def test_wrong_secret_is_a_configuration_error(tmp_path, text, reason):
    if text is not None:
        (tmp_path / "secret").write_text(text)
    with pytest.raises(ConfigError, match=reason):
        read_secret(tmp_path / "secret")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"url": "http://[fe80/x"}, "webhook gate: url: Invalid IPv6 URL"),
        ({"ca_file": "nowhere.pem"}, r"nowhere\.pem: No such file"),
        ({"ca_file": "wrong.pem"}, r"wrong\.pem: no certificate in PEM form"),
    ],
)
def test_wrong_url_or_certificate_is_a_configuration_error(tmp_path, settings, reason):
    (tmp_path / "wrong.pem").write_text("none")
    if "ca_file" in settings:
        settings = {"ca_file": tmp_path / settings["ca_file"]}
    with pytest.raises(ConfigError, match=reason):
        Webhook(WebhookConfig(**{"name": "gate", "url": "https://localhost/"} | settings))
