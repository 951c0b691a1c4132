"""The event store: all or nothing, in order, across restarts, on every kind of broken disk."""

import json
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from plateid.errors import ConfigError, StoreError
from plateid.store.event_store import EventStore, StoreCounts
from plateid.store.salvage import set_aside_files
from plateid.store.schema import LAYOUT
from plateid.store.sequence import COUNTERS
from tests.support.broken_disk import damaged, full_disk
from tests.support.broker import until
from tests.support.samples import SEEN, append, event, outbox_of, payloads


def waiting(store, output="mqtt"):
    """The sequence numbers of an outbox."""
    return [entry.event.seq for entry in outbox_of(store, output).pending(99)]


def is_replaced(store):
    waiting(store)
    return store.replaced == 1


def test_new_store_is_empty(store):
    assert store.counts() == StoreCounts(events=0, outbox=0)
    assert waiting(store) == []


def test_event_is_stored_once_and_stays_after_it_was_acknowledged(store):
    for _ in range(2):
        store.append(SEEN)
        assert store.counts() == StoreCounts(events=1, outbox=1)
    assert payloads(store) == [SEEN.to_json()]
    outbox_of(store).remove([SEEN.id])
    store.append(SEEN)
    assert store.counts() == StoreCounts(events=1, outbox=0)


def test_columns_hold_what_the_search_filters_by(store):
    store.append(SEEN)
    (row,) = store.rows(
        "SELECT plate, plate_form, camera, first_seen, confidence, pass_id, event_type, clock_set"
        " FROM event"
    )
    first_seen = json.loads(SEEN.to_json())["first_seen"]
    expected = "B68SPK", "plain", "gate", first_seen, 0.98, SEEN.pass_id, "plate_seen", 1
    assert row == expected
    assert store.rows("PRAGMA journal_mode") == [("wal",)]


def test_store_that_is_deleted_while_the_service_runs_is_made_again(tmp_path, logs):
    path = tmp_path / "folder" / "events.sqlite3"
    with closing(EventStore(path, service=True)) as store:
        append(store, store.next_seq())
        shutil.rmtree(path.parent)
        later = store.next_seq()
        append(store, later)
        instance = store.instance
    with closing(EventStore(path)) as store:
        assert waiting(store) == [later]
        assert store.instance == instance
    assert [entry["event"] for entry in logs] == ["event store deleted, a new one is made"]


def test_events_numbers_and_instance_are_kept_across_a_restart(tmp_path):
    path = tmp_path / "new" / "folder" / "events.sqlite3"
    with closing(EventStore(path)) as store:
        instance = store.instance
        last = [store.next_seq() for _ in range(3)][-1]
        append(store, last - 2, last - 1, last)
        outbox = outbox_of(store)
        first, second, _ = [entry.event.id for entry in outbox.pending(3)]
        outbox.remove([first])
        outbox.mark_sent([second])
    with closing(EventStore(path)) as store:
        assert [entry.sent for entry in outbox_of(store).pending(3)] == [True, False]
        seq = store.next_seq()
        assert (store.instance, seq % COUNTERS) == (instance, 1)
        assert seq > last
    with closing(EventStore(tmp_path / "other.sqlite3")) as other:
        assert other.instance != instance


def test_threads_lose_no_event_and_share_no_sequence_number(store):
    def append_some(_):
        seqs = [store.next_seq() for _ in range(10)]
        for seq in seqs:
            made = event(seq)
            store.append(made)
            outbox_of(store).remove([made.id])
        return seqs

    with ThreadPoolExecutor(4) as pool:
        seqs = sorted(seq for some in pool.map(append_some, range(4)) for seq in some)
    assert seqs == list(range(seqs[0], seqs[0] + 40))
    assert store.counts() == StoreCounts(events=40, outbox=0)


def test_refused_row_leaves_no_transaction_open(store):
    with pytest.raises(StoreError, match="NOT NULL"):
        store.append(event(1, plate=None))
    append(store, 2)
    assert store.counts() == StoreCounts(events=1, outbox=1)


def test_full_disk_is_an_error_and_the_store_recovers(store):
    append(store, 1)
    with full_disk():
        with pytest.raises(StoreError, match=r"events\.sqlite3: (disk I/O error|.* is full)"):
            append(store, 2)
        assert store.counts() == StoreCounts(events=1, outbox=1)
    append(store, 3)
    assert waiting(store) == [1, 3]


def test_full_database_adds_neither_event_nor_delivery(store):
    append(store, 1)
    store.rows(f"PRAGMA max_page_count = {store.rows('PRAGMA page_count')[0][0]}")
    with pytest.raises(StoreError, match="database or disk is full"):
        append(store, *range(2, 100))
    counts = store.counts()
    assert counts.events == counts.outbox < 99
    store.rows("PRAGMA max_page_count = 1000000")
    append(store, 100)
    assert store.counts() == StoreCounts(counts.events + 1, counts.outbox + 1)


def test_read_only_folder_and_file_are_errors(own_folder):
    path = own_folder / "events.sqlite3"
    EventStore(path).close()
    path.chmod(0o400)
    with pytest.raises(StoreError, match="attempt to write a readonly database"):
        EventStore(path)
    own_folder.chmod(0o500)
    with pytest.raises(StoreError, match="unable to open database file"):
        EventStore(own_folder / "other.sqlite3")
    with pytest.raises(StoreError, match="Permission denied"):
        EventStore(own_folder / "folder" / "events.sqlite3")


def test_paths_that_cannot_hold_a_store_are_errors(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Is a directory"):
        EventStore(tmp_path)
    with pytest.raises(ConfigError, match=r"events\.sqlite3: (File exists|Not a directory)"):
        EventStore(tmp_path / "file" / "events.sqlite3")


@pytest.mark.parametrize(
    ("layout", "reason"),
    [(0, "made by an older plateid"), (58, "an older"), (LAYOUT + 1, "made by a newer plateid")],
)
def test_file_of_another_layout_is_an_error_and_is_left_alone(tmp_path, layout, reason):
    path = tmp_path / "events.sqlite3"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE event (id TEXT)")
        db.execute(f"PRAGMA user_version = {layout}")
        db.execute("PRAGMA journal_mode = WAL")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=rf"{reason}.*move the file away"):
        EventStore(path, service=True)
    assert path.read_bytes() == before


def test_closed_store_is_an_error(store):
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.append(SEEN)


@pytest.mark.parametrize("what", ["header", "event", "delivery", "device", "payload", "text"])
def test_corrupt_file_is_set_aside_and_replaced(tmp_path, what, logs):
    path = tmp_path / "events.sqlite3"
    broken = damaged(path, what, outputs=["csv"])
    with closing(EventStore(path, outputs=["csv"], service=True)) as store:
        outbox_of(store).pending(50)  # the corruption is found here, or on opening
        append(store, 51)
        assert waiting(store) == waiting(store, "csv")
        assert {1, 50, 51} <= set(waiting(store))
        assert store.replaced == 1
        counts, instance = store.counts(), store.instance
    (aside,) = set_aside_files(path)
    assert aside.read_bytes()[8192:] == broken
    (entry,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert entry["event"] == "event store corrupt, a new one is made"
    assert entry["set_aside"] == str(aside)
    with closing(EventStore(path)) as store:
        assert (store.counts(), store.instance) == (counts, instance)


def test_corrupt_file_is_replaced_once_the_disk_has_room(tmp_path):
    path = tmp_path / "events.sqlite3"
    with closing(EventStore(path, service=True)) as store:
        append(store, *range(1, 51))
        instance = store.instance
        store.rows("UPDATE event SET payload = '{}' WHERE position = 7")
        with full_disk():
            for _ in range(3):
                assert not is_replaced(store)
        until(lambda: is_replaced(store))
        append(store, 51)
        assert (len(waiting(store)), store.replaced) == (50, 1)
    with closing(EventStore(path)) as store:
        assert store.instance == instance


def test_only_the_service_sets_a_corrupt_file_aside(tmp_path):
    path = tmp_path / "events.sqlite3"
    broken = damaged(path, "delivery")
    with closing(EventStore(path)) as store, pytest.raises(StoreError, match="malformed"):
        store.rows("SELECT * FROM delivery")
    assert path.read_bytes()[8192:] == broken
