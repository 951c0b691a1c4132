"""The thread of a webhook or log file: every stored event arrives, in order, at least once."""

import json
import random
import time
from contextlib import ExitStack, closing

import pytest

from plateid.backoff import Backoff
from plateid.config.outputs import WebhookConfig
from plateid.config.root import Config
from plateid.delivery import targets_of
from plateid.outputs.output_thread import OutputThread
from plateid.outputs.webhook import Webhook
from plateid.store.event_store import EventStore
from tests.store.test_event_store import waiting
from tests.support.broken_disk import damaged
from tests.support.broker import free_port, until
from tests.support.samples import QUICK, append, event, outbox_of, said


@pytest.fixture
def store(tmp_path):
    with closing(EventStore(tmp_path / "events.sqlite3", outputs=["hook"])) as opened:
        yield opened


@pytest.fixture
def start(store):
    """Starts the thread of a webhook, and stops it after the test."""
    with ExitStack() as stack:

        def started(target, *, store=store, backoff=QUICK):
            thread = OutputThread("hook", target, outbox_of(store, "hook"), backoff=backoff)
            stack.callback(thread.join, 3)
            stack.callback(lambda: thread.stop(time.monotonic() + 1))
            thread.start()
            return thread

        yield started


def hook(server, **settings):
    return Webhook(WebhookConfig(name="gate", url=f"http://127.0.0.1:{server.port}/", **settings))


def seqs(server):
    return [json.loads(post.body)["seq"] for post in server.posts]


def test_events_arrive_once_in_order_and_leave_their_own_outbox(server, start, store):
    thread = start(hook(server))
    append(store, *range(1, 20))
    thread.notify()
    until(lambda: len(server.posts) == 19)
    assert seqs(server) == list(range(1, 20))
    until(lambda: waiting(store, "hook") == [])
    assert store.counts().outbox == 19, "MQTT has an outbox of its own"


def test_outage_is_logged_once_and_loses_no_event(server, start, store, logs):
    server.status = 503
    thread = start(hook(server))
    append(store, 1, 2, 3)
    thread.notify()
    until(lambda: len(server.posts) > 3)
    server.status = 200
    until(lambda: seqs(server)[-1] == 3)
    delivered = [json.loads(post.body) for post in server.posts]
    assert {each["seq"] for each in delivered[:-2]} == {1}
    replayed = [False, *[True] * (len(delivered) - 3), False, False]
    assert [each["replayed"] for each in delivered] == replayed
    assert len({each["id"] for each in delivered}) == 3
    (reason,) = said(logs, "outage starts")
    assert "answers 503" in reason
    until(lambda: said(logs, "outage ends"))


def test_refused_event_blocks_no_other(server, start, store, logs):
    server.status = 422
    thread = start(hook(server))
    append(store, 1)
    thread.notify()
    until(lambda: thread.refused)
    server.status = 200
    append(store, 2)
    thread.notify()
    until(lambda: seqs(server) == [1, 2])
    assert "answers 422" in said(logs, "event refused")[0]


def test_event_that_is_not_selected_ends_no_outage(server, start, store, logs):
    server.status = 503
    gate = hook(server)
    thread = start(gate)
    append(store, 1, 2)
    thread.notify()
    until(lambda: said(logs, "outage starts"))
    gate._is_selected = lambda event: event.seq != 1
    until(lambda: 2 in seqs(server))
    assert said(logs, "outage ends") == []
    server.status = 200
    until(lambda: said(logs, "outage ends"))
    assert len(said(logs, "outage starts")) == 1


def test_new_event_does_not_shorten_the_wait_of_an_outage(server, start, store):
    server.status = 500
    thread = start(hook(server), backoff=Backoff(first_s=30, cap_s=30))
    append(store, 1)
    thread.notify()
    until(lambda: server.posts)
    time.sleep(0.1)
    for seq in range(2, 30):
        append(store, seq)
        thread.notify()
    time.sleep(0.2)
    assert len(server.posts) < 5, "full jitter: a first wait may be short"


def test_wait_of_an_outage_counts_as_a_step_for_the_watchdog(server, start, store, logs):
    server.status = None
    thread = start(hook(server, timeout_s=0.2), backoff=Backoff(60.0))
    began = thread.moved_at
    append(store, 1)
    thread.notify()
    until(lambda: said(logs, "outage starts"))
    until(lambda: thread.moved_at > began + 0.15, 5)


def test_store_that_fails_is_an_outage_of_the_store(server, start, store, logs):
    store.rows("ALTER TABLE delivery RENAME TO away")
    start(hook(server))
    until(lambda: any("no such table" in reason for reason in said(logs, "outage starts")))
    store.rows("ALTER TABLE away RENAME TO delivery")
    append(store, 1)
    until(lambda: seqs(server) == [1])


@pytest.mark.parametrize("what", ["output", "delivery", "payload"])
def test_corrupt_store_is_replaced_and_new_events_arrive(server, start, tmp_path, what):
    path = tmp_path / "corrupt.sqlite3"
    damaged(path, what, outputs=["hook"])
    with closing(EventStore(path, outputs=["hook"], service=True)) as corrupt:
        start(hook(server), store=corrupt)
        until(lambda: corrupt.replaced)
        append(corrupt, 98, 99)
        until(lambda: seqs(server)[-2:] == [98, 99])


def test_kill_between_any_two_steps_loses_no_event(server, store):
    outbox, target = outbox_of(store, "hook"), hook(server)
    append(store, *range(1, 30))
    rng = random.Random(7)
    while entries := outbox.pending(1):
        (entry,) = entries
        steps = [
            lambda ids=(entry.event.id,): outbox.mark_sent(ids),
            lambda each=entry: target.deliver(each),
            lambda ids=(entry.event.id,): outbox.remove(ids),
        ]
        for step in steps[: rng.randint(0, 3)]:
            step()
    assert sorted(set(seqs(server))) == list(range(1, 30))


def test_all_outputs_of_a_configuration_get_every_event_and_stop_in_time(tmp_path, server):
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
    targets = targets_of(config, lambda event: event)
    assert list(targets) == ["webhook up", "webhook away", "csv", "jsonl"]
    with closing(EventStore(tmp_path / "all.sqlite3", outputs=targets)) as store:
        threads = [OutputThread(name, targets[name], outbox_of(store, name)) for name in targets]
        for thread in threads:
            thread.start()
        for seq in range(1, 31):
            store.append(event(seq))
            for thread in threads:
                thread.notify()
        for thread in threads:
            thread.stop(time.monotonic() + 5)
        for thread in threads:
            thread.join(5)
        assert seqs(server) == list(range(1, 31))
        assert len((tmp_path / "a.csv").read_text().splitlines()) == 31
        assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 30
        assert waiting(store, "webhook away")[0] == 1
