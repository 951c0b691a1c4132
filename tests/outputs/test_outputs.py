"""Webhooks and log files, fed by a real store and answered by a real server."""

import base64
import csv
import hashlib
import hmac
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from plateid.backoff import Backoff
from plateid.config.outputs import WebhookConfig
from plateid.config.root import Config
from plateid.config.storage import RetentionConfig
from plateid.core.records import Direction, ListMatch, Position
from plateid.errors import ConfigError, RefusedError, SinkError, StoreError
from plateid.outputs.all_outputs import Sinks
from plateid.outputs.logfile import COLUMNS, csv_file, jsonl_file
from plateid.outputs.output_thread import Courier
from plateid.outputs.webhook import Webhook, read_secret, signature
from plateid.store.event_store import EventStore
from plateid.store.privacy import Privacy
from plateid.store.queues import Queued, Queues
from tests.core.test_schema import VALIDATOR
from tests.store.test_event_store import damaged, full_disk
from tests.support.broker import free_port, until
from tests.support.certificates import Authority
from tests.support.samples import QUICK, SEEN, append, event, said
from tests.support.web_server import WebServer

SECRET = base64.b64encode(bytes(range(32))).decode()
Start = Callable[..., Courier]


@pytest.fixture
def server() -> Iterator[WebServer]:
    with closing(WebServer()) as made:
        yield made


@pytest.fixture
def start(store: EventStore) -> Iterator[Start]:
    """Starts a courier, and stops it after the test."""
    with ExitStack() as stack:

        def started(
            target,
            *,
            backoff: Backoff = QUICK,
            name: str = "sink",
            path=store.path,
            failed=lambda *_: None,
            **bounds,
        ) -> Courier:
            queues = stack.enter_context(closing(Queues(path, [name], failed=failed)))
            courier = Courier(
                name, target, queues=queues, bounds=RetentionConfig(**bounds), backoff=backoff
            )
            stack.callback(courier.join, 3)
            stack.callback(lambda: courier.stop(time.monotonic() + 1))
            courier.start()
            return courier

        yield started


def webhook(port: int, path: str = "/hook", **changes) -> Webhook:
    return Webhook(WebhookConfig(name="gate", url=f"http://127.0.0.1:{port}{path}", **changes))


def seqs(server: WebServer) -> list[int]:
    return [json.loads(post.body)["seq"] for post in server.posts]


def queued(**changes) -> Queued:
    return Queued(1, SEEN.id, event(1, **changes).to_json(), sent=False)


# webhooks


def test_an_event_is_one_post_that_the_schema_allows(server):
    webhook(server.port, "/a/b?token=1").deliver(queued())
    (post,) = server.posts
    assert post.path == "/a/b?token=1"
    assert post.headers["Content-Type"] == "application/json"
    sent = json.loads(post.body)
    VALIDATOR.validate(sent)
    assert sent["sent_at"] is not None
    assert not sent["replayed"]


def test_the_signature_is_that_of_standard_webhooks(server, tmp_path):
    (tmp_path / "secret").write_text(f"whsec_{SECRET}\n")
    webhook(server.port, secret_file=tmp_path / "secret").deliver(queued())
    (post,) = server.posts
    id_, stamp = post.headers["webhook-id"], post.headers["webhook-timestamp"]
    signed = f"{id_}.{stamp}.".encode() + post.body
    mac = hmac.new(base64.b64decode(SECRET), signed, hashlib.sha256).digest()
    assert post.headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"
    assert id_ == SEEN.id
    assert abs(int(stamp) - time.time()) < 60


def test_the_signature_is_that_of_the_example_in_their_reference():
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_without_a_secret_there_is_no_signature(server):
    webhook(server.port).deliver(queued())
    assert "webhook-signature" not in server.posts[0].headers


@pytest.mark.parametrize(
    ("lists", "kind", "sent"),
    [
        ((), None, True),
        (("allow", "deny"), "deny", True),
        (("allow",), "deny", False),
        (("allow",), None, False),
        (("none",), None, True),
        (("none",), "watch", False),
    ],
)
def test_only_the_lists_that_are_wanted_are_sent(server, lists, kind, sent):
    known = kind and ListMatch("Ana", kind, 0)
    webhook(server.port, lists=lists).deliver(queued(list=known))
    assert bool(server.posts) == sent


@pytest.mark.parametrize(
    ("changes", "sent"),
    [
        ({"cameras": ("gate", "yard")}, True),
        ({"cameras": ("yard",)}, False),
        ({"events": ("plate_seen",)}, True),
        ({"events": ("plate_left",)}, False),
        ({"max_age_s": 60}, True),
        ({"max_age_s": 5}, False),
        ({"max_age_s": 5, "ahead_s": 60}, False),  # the clock was set back since
    ],
)
def test_a_gate_is_told_only_what_it_asks_for(server, changes, sent):
    changes, seen = {**changes}, datetime.now(UTC) - timedelta(seconds=20)
    seen += timedelta(seconds=changes.pop("ahead_s", 0))
    webhook(server.port, **changes).deliver(queued(first_seen=seen, last_seen=seen))
    assert bool(server.posts) == sent


@pytest.mark.parametrize("status", [301, 307, 401, 404, 408, 410, 429, 500, 503])
def test_a_server_that_may_be_mended_is_an_outage(server, status):
    server.status = status
    with pytest.raises(SinkError, match=f"http://127.0.0.1:{server.port}: answers {status}") as got:
        webhook(server.port).deliver(queued())
    assert not isinstance(got.value, RefusedError)
    assert len(server.posts) == 1  # a redirect is not followed


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_server_that_blames_the_event_refuses_it(server, status):
    server.status = status
    with pytest.raises(RefusedError, match=f"answers {status}"):
        webhook(server.port).deliver(queued())


def test_a_signature_that_is_refused_costs_no_event(server, tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    server.status = 400
    with pytest.raises(SinkError, match="answers 400") as got:
        webhook(server.port, secret_file=tmp_path / "secret").deliver(queued())
    assert not isinstance(got.value, RefusedError)


def test_a_server_that_is_not_there_or_silent_is_an_outage(server):
    port = free_port()
    with pytest.raises(SinkError, match=f"http://127.0.0.1:{port}: Connection refused"):
        webhook(port).deliver(queued())
    server.status = None
    with pytest.raises(SinkError, match="timed out"):
        webhook(server.port, timeout_s=0.1).deliver(queued())


def test_a_server_that_answers_by_the_byte_is_timed_out():
    def trickle(listener):
        with listener.accept()[0] as client, suppress(OSError):
            client.sendall(b"HTTP/1.1 204 ")
            for _ in range(40):
                time.sleep(0.05)
                client.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=trickle, args=[listener])
        thread.start()
        with pytest.raises(SinkError, match="timed out"):
            webhook(listener.getsockname()[1], timeout_s=0.2).deliver(queued())
        thread.join()


def test_the_addresses_of_a_server_that_is_away_share_its_time(monkeypatch):
    known = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: 8 * known(*a, **k))
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port, began = full.getsockname()[1], time.monotonic()
        with socket.create_connection(("127.0.0.1", port)), pytest.raises(SinkError, match="timed"):
            webhook(port, timeout_s=0.4).deliver(queued())
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
def test_an_address_of_version_6_needs_no_port(url, address):
    connection = Webhook(WebhookConfig(name="gate", url=url))._connection()
    assert (connection.host, connection.port) == address


def test_an_address_that_is_none_is_named():
    with pytest.raises(ConfigError, match="webhook gate: url: Invalid IPv6 URL"):
        Webhook(WebhookConfig(name="gate", url="http://[fe80/x"))


def test_what_may_be_secret_in_an_address_is_not_told():
    with pytest.raises(SinkError) as got:
        webhook(free_port(), "/api/webhook/SECRET?token=SECRET").deliver(queued())
    assert "SECRET" not in str(got.value)


def test_a_server_is_believed_by_its_certificate_only(tmp_path):
    authority = Authority(tmp_path)
    with closing(WebServer(authority.issue("127.0.0.1"))) as server:
        config = WebhookConfig(name="gate", url=f"https://127.0.0.1:{server.port}/")
        with pytest.raises(SinkError, match="certificate is refused: unable to get local issuer"):
            Webhook(config).deliver(queued())
        trusting = config.model_copy(update={"ca_file": authority.certificate.file})
        Webhook(trusting).deliver(queued())
        assert len(server.posts) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("secret!", "is not base64, as of `openssl rand -base64 32`"),
        ("", "holds 0 bytes; a secret has 24 to 64"),
        (base64.b64encode(bytes(23)).decode(), "holds 23 bytes"),
        (base64.b64encode(bytes(65)).decode(), "holds 65 bytes"),
        ("é" * 40, "is not base64"),
    ],
)
def test_a_secret_that_is_none_is_named(tmp_path, text, reason):
    (tmp_path / "secret").write_text(text)
    with pytest.raises(ConfigError, match=f"secret: {reason}"):
        read_secret(tmp_path / "secret")
    with pytest.raises(ConfigError, match="nowhere: No such file"):
        read_secret(tmp_path / "nowhere")


def test_a_certificate_that_is_none_is_named(tmp_path):
    config = WebhookConfig(name="gate", url="https://localhost/", ca_file=tmp_path / "ca.pem")
    with pytest.raises(ConfigError, match=r"ca\.pem: No such file"):
        Webhook(config)
    (tmp_path / "ca.pem").write_text("none")
    with pytest.raises(ConfigError, match=r"ca\.pem: no certificate in PEM form"):
        Webhook(config)


# delivery


def test_events_arrive_in_order_once_and_the_queue_is_empty(server, start, store):
    courier = start(webhook(server.port))
    append(store, *range(1, 20))
    courier.notify()
    until(lambda: len(server.posts) == 19)
    assert seqs(server) == list(range(1, 20))
    until(lambda: courier._queues.first("sink") is None)
    assert store.counts().outbox == 19  # MQTT has a queue of its own


def test_an_outage_is_said_once_and_nothing_is_lost(server, start, store, logs):
    server.status = 503
    courier = start(webhook(server.port), name="webhook gate")
    append(store, 1, 2, 3)
    courier.notify()
    until(lambda: len(server.posts) > 3)
    server.status = 200
    until(lambda: seqs(server)[-1] == 3)
    delivered = [json.loads(post.body) for post in server.posts]
    assert {one["seq"] for one in delivered[:-2]} == {1}
    assert [one["replayed"] for one in delivered] == [
        False,
        *[True] * (len(delivered) - 3),
        *2 * [False],
    ]
    assert len({one["id"] for one in delivered}) == 3
    (reason,) = said(logs, "outage starts")
    assert "answers 503" in reason
    until(lambda: said(logs, "outage ends"))


def test_an_event_that_is_refused_blocks_no_other(server, start, store, logs):
    server.status = 422
    courier = start(webhook(server.port))
    append(store, 1)
    courier.notify()
    until(lambda: courier.refused)
    server.status = 200
    append(store, 2)
    courier.notify()
    until(lambda: seqs(server) == [1, 2])
    assert "answers 422" in said(logs, "event refused")[0]


@pytest.mark.parametrize("what", ["sink", "sink_outbox", "payload"])
def test_what_is_corrupt_for_the_queues_is_set_aside_with_the_store(server, start, tmp_path, what):
    path = tmp_path / "corrupt.sqlite3"
    with closing(EventStore(path)), closing(Queues(path, ["sink"])):
        pass
    damaged(path, what)
    with closing(EventStore(path, replaces_corrupt=True)) as store:
        start(webhook(server.port), path=path, failed=store.found_corrupt)
        until(lambda: store.replaced)
        store.append(event(99))
        until(lambda: 99 in seqs(server))


def test_an_event_that_has_become_too_old_ends_no_outage(server, start, store, logs):
    server.status = 503
    gate = webhook(server.port)
    courier = start(gate)
    append(store, 1, 2)
    courier.notify()
    until(lambda: said(logs, "outage starts"))
    gate._wanted = lambda event: event["seq"] != 1
    until(lambda: 2 in seqs(server))
    assert said(logs, "outage ends") == []
    server.status = 200
    until(lambda: said(logs, "outage ends"))
    assert len(said(logs, "outage starts")) == 1


def test_a_new_event_does_not_shorten_the_wait_of_an_outage(server, start, store):
    server.status = 500
    courier = start(webhook(server.port), backoff=Backoff(first_s=30, cap_s=30))
    append(store, 1)
    courier.notify()
    until(lambda: server.posts)
    time.sleep(0.1)
    for seq in range(2, 30):
        append(store, seq)
        courier.notify()
    time.sleep(0.2)
    assert len(server.posts) < 5  # full jitter: a first wait may be short


def test_a_wait_is_no_hanging(server, start, store, logs):
    server.status = None
    courier = start(webhook(server.port, timeout_s=0.2), backoff=Backoff(60.0))
    began = courier.moved_at
    append(store, 1)
    courier.notify()
    until(lambda: server.posts)
    until(lambda: said(logs, "outage starts"))
    until(lambda: courier.moved_at > began + 0.15, 5)


def test_what_waits_outlives_the_process(store):
    with closing(Queues(store.path, ["a", "b"])):
        append(store, 1, 2)
    with closing(Queues(store.path, ["a"])) as queues:
        first = queues.first("a")
        assert first is not None
        assert not first.sent
        queues.mark_sent("a", first)
    with closing(Queues(store.path, ["a", "b"])) as queues:
        first = queues.first("a")
        assert first is not None
        assert (first.position, first.sent) == (1, True)
        assert queues.first("b") is None  # it was not configured in between
        queues.remove("a", first)
        second = queues.first("a")
        assert second is not None
        assert second.position == 2


def test_sinks_that_are_gone_cost_nothing(store):
    Queues(store.path, ["a"]).close()
    Queues(store.path, []).close()
    append(store, 1)
    with closing(Queues(store.path, ["a"])) as queues:
        assert queues.first("a") is None


def test_deleted_history_takes_along_what_waits(store):
    with closing(Queues(store.path, ["a"])) as queues:
        append(store, 1)
        store.acknowledge([payload.id for payload in store.pending(9)])
        store._rows("DELETE FROM event")
        assert queues.first("a") is None


def test_a_queue_is_bounded_the_oldest_go_and_it_is_said(start, store, server, logs):
    Queues(store.path, ["sink"]).close()
    append(store, *range(1, 8))
    courier = start(webhook(server.port), outbox_events=3)
    until(lambda: len(server.posts) == 3)
    assert seqs(server) == [5, 6, 7]
    assert courier.dropped == 4
    assert "full (3 events, 30 days)" in said(logs, "outage starts")[0]


def test_a_sink_that_is_slower_than_the_traffic_is_one_overflow(start, store, logs, monkeypatch):
    monkeypatch.setattr(
        "plateid.outputs.output_thread.TICK_S", 0.0
    )  # each step looks how many there are

    class Slow:
        taken = 0

        def deliver(self, _) -> bool:
            self.taken += 1
            append(store, *range(3 if self.taken < 5 else 0))
            return True

    start(Slow(), outbox_events=2)
    append(store, 1)
    until(lambda: said(logs, "outage ends"))
    told = [(entry["event"], entry["what"]) for entry in logs]
    assert told == [(f"outage {what}", "overflow of sink") for what in ("starts", "ends")]


def test_what_waits_for_too_long_goes_and_what_was_before_the_clock_was_set_does_not(store):
    with closing(Queues(store.path, ["a"])) as queues:
        append(store, 1)
        append(store, 2, clock_synced=False)
        assert queues.trim("a", 100, time.time() - 60) == 0
        assert queues.trim("a", 100, time.time() + 60) == 1
        left = queues.first("a")
        assert left is not None
        assert left.position == 2


def test_a_store_that_fails_is_an_outage_of_the_store(server, start, store, logs):
    courier = start(webhook(server.port))
    with courier._queues._lock:
        courier._queues._db.execute("ALTER TABLE sink_outbox RENAME TO away")
    courier.notify()
    until(lambda: any("no such table" in reason for reason in said(logs, "outage starts")))
    with courier._queues._lock:
        courier._queues._db.execute("ALTER TABLE away RENAME TO sink_outbox")
    append(store, 1)
    until(lambda: seqs(server) == [1])


def test_an_event_that_is_none_is_an_outage_of_the_store(server, start, store, logs):
    Queues(store.path, ["sink"]).close()
    append(store, 1)
    store._rows("UPDATE event SET payload = '{'")
    start(webhook(server.port))
    until(lambda: said(logs, "outage starts"))
    assert "holds something else than events" in said(logs, "outage starts")[0]


def test_a_store_that_makes_a_new_file_is_followed(server, start, tmp_path):
    path = tmp_path / "corrupt.sqlite3"
    damaged(path, "outbox")
    with closing(EventStore(path, replaces_corrupt=True)) as store:
        courier = start(webhook(server.port), path=path)
        with pytest.raises(StoreError, match="malformed"):
            store.pending(50)
        append(store, 51)
        courier.notify()
        until(lambda: seqs(server) == [51])
        append(store, 52)
        courier.notify()
        until(lambda: seqs(server) == [51, 52])


def test_a_process_that_is_killed_at_any_point_loses_nothing(server, store):
    """The state that a kill leaves is one between two statements: each of them is tried."""
    with closing(Queues(store.path, ["a"])) as queues:
        append(store, *range(1, 30))
        rng = random.Random(7)
        hook = webhook(server.port)
        while (waiting := queues.first("a")) is not None:
            steps = [
                lambda one=waiting: queues.mark_sent("a", one),
                lambda one=waiting: hook.deliver(one),
                lambda one=waiting: queues.remove("a", one),
            ]
            for step in steps[: rng.randint(0, 3)]:
                step()
    assert sorted(set(seqs(server))) == list(range(1, 30))


# log files


def test_each_event_is_a_row_below_the_names(tmp_path):
    log = csv_file(tmp_path / "new" / "plates.csv")
    log.deliver(queued())
    log.deliver(
        queued(
            list=ListMatch('Ana "A", Ltd', "allow", 1),
            direction=Direction("in", 90.0),
            gps=Position(44.4, 26.1),
        )
    )
    with (tmp_path / "new" / "plates.csv").open(newline="") as file:
        plain, tagged = csv.DictReader(file)
    assert list(plain) == list(COLUMNS)
    assert (plain["plate"], plain["region"], plain["list"], plain["lat"]) == (
        "B68SPK",
        "ro",
        "",
        "",
    )
    assert (tagged["list_name"], tagged["list_distance"]) == ('Ana "A", Ltd', "1")
    assert (tagged["direction"], tagged["lat"], tagged["lon"]) == ("in", "44.4", "26.1")
    assert plain["first_seen"] == "2026-11-24T12:00:00.123Z"


def test_a_spreadsheet_takes_no_name_for_a_formula(tmp_path):
    log = csv_file(tmp_path / "plates.csv")
    log.deliver(queued(list=ListMatch('=HYPERLINK("http://evil")', "allow", 0)))
    (row,) = csv.DictReader((tmp_path / "plates.csv").read_text().splitlines())
    assert row["list_name"] == """'=HYPERLINK("http://evil")"""


def test_each_event_is_a_line_of_json(tmp_path):
    log = jsonl_file(tmp_path / "plates.jsonl")
    log.deliver(queued())
    known, gone = ListMatch("Ana", "deny", 0), Direction(None, 359.9)
    log.deliver(queued(camera="drive", list=known, direction=gone, gps=Position(-90.0, 180.0)))
    lines = (tmp_path / "plates.jsonl").read_text().splitlines()
    for line in lines:
        VALIDATOR.validate(json.loads(line))
    assert [json.loads(line)["camera"] for line in lines] == ["gate", "drive"]


def test_a_file_that_is_moved_away_is_begun_anew(tmp_path):
    path = tmp_path / "plates.csv"
    log = csv_file(path)
    log.deliver(queued())
    path.rename(tmp_path / "plates.csv.1")
    log.deliver(queued())
    assert path.read_text().splitlines()[0].startswith("event_type,")
    assert len(path.read_text().splitlines()) == 2


def test_what_a_loss_of_power_left_of_a_line_spoils_no_other(tmp_path):
    path = tmp_path / "plates.jsonl"
    path.write_text('{"half": ')
    jsonl_file(path).deliver(queued())
    assert json.loads(path.read_text().splitlines()[1])["plate"] == "B68SPK"


def test_a_full_disk_leaves_no_part_of_a_line_and_afterwards_all_is_well(tmp_path):
    path = tmp_path / "plates.csv"
    log = csv_file(path)
    log.deliver(queued())
    before = path.read_text()
    with full_disk(), pytest.raises(SinkError, match=r"plates\.csv: File too large"):
        log.deliver(queued())
    assert path.read_text() == before
    log.deliver(queued())
    assert len(path.read_text().splitlines()) == 3


def test_a_path_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match=r"file/plates\.csv: (File exists|Not a directory)"):
        csv_file(tmp_path / "file" / "plates.csv").deliver(queued())
    with pytest.raises(SinkError, match="Is a directory"):
        csv_file(tmp_path).deliver(queued())


# all of them


def test_all_sinks_of_a_configuration_get_every_event_and_a_stop_loses_none(tmp_path, server):
    config = Config.model_validate(
        {
            "camera": [{"name": "gate", "url": "rtsp://x/"}],
            "webhook": [
                {"name": "up", "url": f"http://127.0.0.1:{server.port}/"},
                {"name": "away", "url": f"http://127.0.0.1:{free_port()}/"},
            ],
            "logfile": {"csv": tmp_path / "a.csv", "jsonl": tmp_path / "a.jsonl"},
        }
    )
    with closing(EventStore(tmp_path / "events.sqlite3")) as store:
        sinks = Sinks(config, store, privacy=Privacy(config.privacy, store.path))
        sinks.start()
        for seq in range(1, 31):
            store.append(replace(event(seq)))
            sinks.notify()
        stop_at = time.monotonic() + 5
        sinks.stop(stop_at)
        sinks.close(stop_at)
        assert seqs(server) == list(range(1, 31))
        assert len((tmp_path / "a.csv").read_text().splitlines()) == 31
        assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 30
        with closing(Queues(store.path, ["webhook away"])) as queues:
            waiting = queues.first("webhook away")
            assert waiting is not None
            assert waiting.position == 1
