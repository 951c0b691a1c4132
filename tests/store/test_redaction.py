"""Plates that may not be kept leave the store once every output has them, without a trace."""

import sqlite3
from contextlib import closing

from plateid.store.event_store import EventStore
from plateid.store.privacy import Privacy
from tests.support.histories import ANA, deliver_all, files_with, kept, retention, with_plate
from tests.support.samples import append, event, outbox_of, said


def test_plate_is_redacted_once_every_output_has_it_and_not_before(tmp_path):
    with closing(EventStore(tmp_path / "events.sqlite3", outputs=["webhook"])) as store:
        keeper = retention(store, unlisted="hash")
        append(store, 1)
        for output in ("mqtt", "webhook"):
            keeper.finish()
            assert outbox_of(store, output).pending(1)[0].event.plate == "B68SPK"
            deliver_all(store, output)
        keeper.finish()
        assert files_with(tmp_path, "B68SPK") == files_with(tmp_path, "B 68 SPK") == []
        (left,) = kept(store)
        assert len(left["plate"]) == 32
        assert store.rows("SELECT plate, plate_form FROM event") == [(left["plate"], "hashed")]


def test_no_byte_of_many_plates_is_left_in_the_file(store, tmp_path):
    keeper = retention(store, unlisted="drop")
    plates = [f"ZZ{number:04}Q" for number in range(1000)]
    for number, plate in enumerate(plates):
        store.append(with_plate(number, plate))
        if number % 40 == 0:
            deliver_all(store)
            keeper.finish()
    deliver_all(store)
    for _ in range(20):
        keeper.finish()
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert [plate for plate in plates if plate.encode() in content] == []
    assert store.counts().events == len(plates)


def test_list_entry_is_forgotten_with_its_plate(store):
    store.append(event(1, list=ANA))
    deliver_all(store)
    retention(store, unlisted="drop").finish()
    assert list(store.last_seen()) == ["Ana"]
    retention(store, listed="drop").finish()
    assert store.last_seen() == {}


def test_stricter_rule_is_applied_to_earlier_events(store):
    append(store, 1)
    store.append(event(2, list=ANA))
    deliver_all(store)
    for settings, forms in (
        ({}, ["plain", "plain"]),
        ({"unlisted": "hash"}, ["hashed", "plain"]),
        ({"unlisted": "hash", "listed": "hash"}, ["hashed", "hashed"]),
        ({"unlisted": "keep", "listed": "hash"}, ["hashed", "hashed"]),
        ({"unlisted": "drop", "listed": "hash"}, ["dropped", "hashed"]),
    ):
        retention(store, **settings).finish()
        rows = store.rows("SELECT plate_form FROM event ORDER BY position")
        assert [form for (form,) in rows] == forms, settings


def test_new_rule_is_applied_in_small_steps_across_restarts(store, monkeypatch):
    append(store, *range(1, 51))
    deliver_all(store)
    retention(store, unlisted="hash").finish()
    append(store, 51)
    deliver_all(store)
    monkeypatch.setattr("plateid.store.retention.BATCH", 8)
    monkeypatch.setattr("plateid.backoff.STEP_S", 0.0)
    hashes = [50]
    while hashes[-1]:
        with store.locked() as db:
            before = db.total_changes
        retention(store, unlisted="drop").finish()
        with store.locked() as db:
            assert db.total_changes - before < 5 * 8
        hashes += store.rows("SELECT count(*) FROM event WHERE plate_form = 'hashed'")[0]
    assert hashes == [50, 43, 35, 27, 19, 11, 3, 0]
    assert {left["plate"] for left in kept(store)} == {""}


def test_redacted_events_are_not_read_again(store, monkeypatch):
    store.append(event(1, list=ANA))
    deliver_all(store)
    keeper = retention(store, unlisted="drop")
    keeper.finish()
    monkeypatch.setattr(Privacy, "applied", None)
    keeper.finish()


def test_row_that_is_no_event_makes_the_file_corrupt(tmp_path):
    with closing(EventStore(tmp_path / "a", service=True)) as store:
        append(store, 1)
        deliver_all(store)
        store.rows("UPDATE event SET payload = '{}'")
        retention(store, unlisted="drop").check()
        assert (store.replaced, store.counts().events) == (1, 0)


def test_store_that_fails_is_an_outage_and_redaction_continues_later(store, logs):
    append(store, 1)
    deliver_all(store)
    keeper = retention(store, unlisted="drop")
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        keeper.check()
        keeper.check()
    (reason,) = said(logs, "outage starts")
    assert "locked" in reason
    keeper._redact._outage._next_try = 0.0
    keeper.check()
    assert kept(store)[0]["plate"] == ""
