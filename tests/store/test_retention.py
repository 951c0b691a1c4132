"""How long events are kept, whatever the clock says."""

import os
import shutil
import time
from contextlib import closing

import pytest

from plateid.store.event_store import EventStore
from plateid.store.retention import LAST_OLD, LAST_OLD_UNSET
from plateid.store.snapshot_files import SnapshotFiles
from tests.support.histories import DAY_S, deliver_all, id_at, kept, retention, seqs
from tests.support.samples import SEEN, append, event


def append_at(store, *ages_days, clock_synced=None):
    """Stores events 1, 2, ... of these ages in days, in this order; an age of None is 1970."""
    now = time.time()
    for seq, days in enumerate(ages_days, 1):
        id_ = id_at(0 if days is None else now - days * DAY_S)
        store.append(event(seq, id=id_, clock_synced=clock_synced))


def unlink_later(store, id_):
    """Puts a folder in the place of a snapshot, which cannot be deleted as a file."""
    snapshots = SnapshotFiles(store.path)
    file = snapshots.folder / snapshots.add(id_, b"", hidden=False).file
    file.unlink()
    file.mkdir()
    return file


def check(keeper, times=1):
    """Calls the retention without the waits of its outage."""
    for _ in range(times):
        keeper._redact._outage._next_try = keeper._delete._outage._next_try = 0.0
        keeper.check()


def test_old_events_go_once_every_output_has_them(tmp_path, logs):
    with closing(EventStore(tmp_path / "events.sqlite3", outputs=["webhook"])) as store:
        append_at(store, 8, 8, 8, 6, 6)
        keeper = retention(store, events_days=7)
        deliver_all(store, limit=3)
        keeper.check()
        assert seqs(store) == [1, 2, 3, 4, 5]
        deliver_all(store, "webhook", limit=2)
        keeper._delete._due_at = 0.0
        keeper.check()
        assert (seqs(store), store.counts().outbox) == ([3, 4, 5], 2)
    assert [entry["events"] for entry in logs if entry["event"] == "old events deleted"] == [2]


def test_event_from_before_the_clock_was_set_goes_with_the_next_one(store):
    append_at(store, None, clock_synced=False)
    deliver_all(store)
    keeper = retention(store, events_days=7)
    keeper.check()
    assert seqs(store) == [1]
    append_at(store, 8)
    deliver_all(store)
    keeper._delete._due_at = 0.0
    keeper.check()
    assert seqs(store) == []


@pytest.mark.parametrize(
    ("synced", "left"), [(True, [1, 2, 3, 4]), (None, [1, 2, 3, 4]), (False, [4])]
)
def test_clock_that_is_never_set_counts_until_it_is_set(store, synced, left):
    append_at(store, None, 9, 8, 0, clock_synced=False)
    deliver_all(store)
    retention(store, synced, events_days=7).check()
    assert seqs(store) == left


def test_unset_clock_does_not_age_events_before_a_set_one(store):
    append_at(store, 300, clock_synced=False)
    append_at(store, 1, clock_synced=True)
    deliver_all(store)
    retention(store, False, events_days=7).check()
    assert seqs(store) == [1, 1]


def test_clock_that_was_wrong_for_a_while_costs_no_young_event(store):
    append_at(store, 9, 1, 300, 299, 0, clock_synced=False)
    deliver_all(store)
    retention(store, False, events_days=7).check()
    assert seqs(store) == [2, 5]


def test_oldest_events_go_if_the_file_is_too_large(store, tmp_path):
    keeper = retention(store, events_mb=1)
    append(store, *range(1, 1001))
    deliver_all(store)
    assert (tmp_path / "events.sqlite3").stat().st_size > 1.2e6
    for _ in range(20):
        keeper._delete._due_at = 0.0
        keeper.check()
    left = seqs(store)
    assert left == list(range(left[0], 1001))
    assert 200 < len(left) < 1000
    pages = store.rows("PRAGMA page_count")
    append(store, *range(1001, 1101))
    assert store.rows("PRAGMA page_count") == pages, "free pages are used again"


def test_old_events_are_looked_for_at_the_start_and_each_day(store, monkeypatch):
    keeper = retention(store, events_days=7)
    keeper.check()
    append_at(store, 8, 6)
    deliver_all(store)
    keeper.check()
    assert seqs(store) == [1, 2]
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + DAY_S)
    keeper.check()
    assert seqs(store) == [2]


@pytest.mark.parametrize(("age_days", "stays"), [(6, True), (8, False)])
def test_corrupt_store_is_kept_no_longer_than_events(store, tmp_path, age_days, stays):
    aside = tmp_path / "events.sqlite3.corrupt-20260101T000000Z"
    aside.write_text("B68SPK")
    os.utime(aside, times=2 * (time.time() - age_days * DAY_S,))
    retention(store, events_days=7).check()
    assert aside.exists() is stays


@pytest.mark.parametrize("settings", [{"events_days": 7}, {"unlisted": "drop"}])
def test_snapshot_that_cannot_be_deleted_is_retried_and_holds_up_no_other(
    store, monkeypatch, settings
):
    monkeypatch.setattr("plateid.store.retention.BATCH", 2)
    append_at(store, 8.5, 8.4, 8.3, 8.2, 8.1)
    deliver_all(store)
    files = [unlink_later(store, stored["id"]) for stored in kept(store)[:3]]
    keeper = retention(store, **settings)
    check(keeper, times=6)
    assert [left["seq"] for left in kept(store) if left["plate"] == SEEN.plate] == [1, 2, 3]
    for file in files:
        file.rmdir()
        file.touch()
    check(keeper, times=6)
    assert [left["seq"] for left in kept(store) if left["plate"]] == []
    assert not any(file.exists() for file in files)


def test_snapshot_that_cannot_be_deleted_stops_neither_rule(store, monkeypatch):
    append_at(store, 9, 8, 6)
    unlink_later(store, kept(store)[0]["id"])
    deliver_all(store)
    keeper, now = retention(store, events_days=7, unlisted="drop"), time.time()
    for later_days, left in ((0, [1, 3]), (2, [1])):
        monkeypatch.setattr(time, "time", lambda days=later_days: now + days * DAY_S)
        check(keeper, times=3)
        assert seqs(store) == left


@pytest.mark.parametrize(("query", "values"), [(LAST_OLD, ("1",)), (LAST_OLD_UNSET, ("0", "1"))])
def test_old_events_are_found_in_an_index(store, query, values):
    plan = " ".join(row[3] for row in store.rows(f"EXPLAIN QUERY PLAN {query}", *values))
    assert "USING COVERING INDEX event_age (clock_set=? AND id" in plan
    assert "SCAN" not in plan.replace("SCAN event USING COVERING INDEX event_clock_set", "")


def test_folder_that_is_gone_is_an_outage(tmp_path, logs):
    folder = tmp_path / "gone"
    with closing(EventStore(folder / "events.sqlite3")) as store:
        shutil.rmtree(folder)
        retention(store).check()
    assert [entry["event"] for entry in logs] == ["outage starts"]
