"""The event store: both or nothing, in order, over restarts, on every kind of broken disk."""

import json
import os
import resource
import sqlite3
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from plateid.errors import StoreError
from plateid.store.database import STEPS
from plateid.store.event_store import Counts, EventStore
from tests.support.samples import SEEN, Logs, append, event, payloads

NOBODY = 65534


@contextmanager
def full_disk() -> Iterator[None]:
    """No file grows any more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def mine() -> Iterator[Path]:
    """A folder of somebody who is not root, since root may write everywhere."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if user == 0:
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            folder.chmod(0o700)
            os.seteuid(user)


def test_a_new_store_is_empty(store: EventStore) -> None:
    assert store.counts() == Counts(events=0, outbox=0)
    assert store.pending(10) == []
    assert payloads(store) == []


def test_an_event_is_in_the_history_and_in_the_outbox(store: EventStore) -> None:
    store.append(SEEN)
    (outgoing,) = store.pending(10)
    assert payloads(store) == [outgoing.payload] == [SEEN.to_json()]
    assert (outgoing.id, outgoing.camera, outgoing.sent) == (SEEN.id, "gate", False)


def test_the_same_event_twice_is_one(store: EventStore) -> None:
    store.append(SEEN)
    store.append(SEEN)
    assert store.counts() == Counts(events=1, outbox=1)


def test_an_acknowledged_event_stays_in_the_history_only(store: EventStore) -> None:
    store.append(SEEN)
    store.acknowledge([SEEN.id])
    assert store.counts() == Counts(events=1, outbox=0)
    store.append(SEEN)
    assert store.counts() == Counts(events=1, outbox=0)


def test_pending_is_oldest_first_and_history_newest_first(store: EventStore) -> None:
    made = [event(seq) for seq in range(1, 6)]
    for each in made:
        store.append(each)
    assert [outgoing.id for outgoing in store.pending(3)] == [each.id for each in made[:3]]
    assert payloads(store)[:2] == [made[4].to_json(), made[3].to_json()]


def test_pending_skips_cameras(store: EventStore) -> None:
    for seq, camera in enumerate(["gate", "yard", "gate", "it's"]):
        store.append(event(seq, camera=camera))
    skipped = store.pending(10, skip=["gate", "it's"])
    assert [outgoing.camera for outgoing in skipped] == ["yard"]


def test_columns_for_searching_hold_what_the_event_says(store: EventStore, tmp_path: Path) -> None:
    store.append(SEEN)
    with closing(sqlite3.connect(tmp_path / "events.sqlite3")) as db:
        query = "SELECT plate, camera, first_seen, confidence, pass_id, event_type FROM event"
        (row,) = db.execute(query).fetchall()
        (mode,) = db.execute("PRAGMA journal_mode").fetchone()
    first_seen = json.loads(SEEN.to_json())["first_seen"]
    assert row == ("B68SPK", "gate", first_seen, 0.98, SEEN.pass_id, "plate_seen")
    assert mode == "wal"


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "events.sqlite3"
    with closing(EventStore(path)) as store:
        instance = store.instance
        for seq in (store.next_seq(), store.next_seq(), store.next_seq()):
            store.append(event(seq))
        first, second, _ = [outgoing.id for outgoing in store.pending(3)]
        store.acknowledge([first])
        store.mark_sent([second])
    with closing(EventStore(path)) as store:
        assert [outgoing.sent for outgoing in store.pending(3)] == [True, False]
        assert store.instance == instance
        assert store.next_seq() == 4


def test_two_stores_are_two_instances(store: EventStore, tmp_path: Path) -> None:
    with closing(EventStore(tmp_path / "other.sqlite3")) as other:
        assert other.instance != store.instance


def test_many_threads_lose_nothing_and_share_no_number(store: EventStore) -> None:
    def append_some(_: int) -> list[int]:
        seqs = [store.next_seq() for _ in range(10)]
        made = [event(seq) for seq in seqs]
        for each in made:
            store.append(each)
            store.acknowledge([each.id])
        return seqs

    with ThreadPoolExecutor(4) as pool:
        seqs = sorted(seq for some in pool.map(append_some, range(4)) for seq in some)
    assert seqs == list(range(1, 41))
    assert store.counts() == Counts(events=40, outbox=0)


def test_a_refused_row_leaves_no_transaction_open(store: EventStore) -> None:
    with pytest.raises(StoreError, match="NOT NULL"):
        store.append(event(1, plate=None))
    store.append(event(2))
    assert store.counts() == Counts(events=1, outbox=1)


def test_a_full_disk_is_an_error_and_afterwards_all_is_well(store: EventStore) -> None:
    store.append(event(1))
    with full_disk():
        with pytest.raises(StoreError, match=r"events\.sqlite3: (disk I/O error|.* is full)"):
            store.append(event(2))
        assert store.counts() == Counts(events=1, outbox=1)
    store.append(event(3))
    assert [json.loads(outgoing.payload)["seq"] for outgoing in store.pending(9)] == [1, 3]


def test_a_full_database_adds_neither_event_nor_outbox_row(store: EventStore) -> None:
    store.append(event(1))
    page_count = store._rows("PRAGMA page_count")[0][0]
    store._rows(f"PRAGMA max_page_count = {page_count}")
    with pytest.raises(StoreError, match="database or disk is full"):  # noqa: PT012
        for seq in range(2, 100):
            store.append(event(seq))
    counts = store.counts()
    assert counts.events == counts.outbox < 99
    store._rows("PRAGMA max_page_count = 1000000")
    store.append(event(100))
    assert store.counts() == Counts(counts.events + 1, counts.outbox + 1)


def test_a_read_only_folder_is_an_error(mine: Path) -> None:
    mine.chmod(0o500)
    with pytest.raises(StoreError, match="unable to open database file"):
        EventStore(mine / "events.sqlite3")
    with pytest.raises(StoreError, match="Permission denied"):
        EventStore(mine / "folder" / "events.sqlite3")


def test_a_read_only_file_is_an_error(mine: Path) -> None:
    path = mine / "events.sqlite3"
    EventStore(path).close()
    path.chmod(0o400)
    with pytest.raises(StoreError, match="attempt to write a readonly database"):
        EventStore(path)


def test_a_file_of_another_kind_is_an_error_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database\n" * 1000)
    with pytest.raises(StoreError, match=r"notes\.txt: file is not a database"):
        EventStore(path)
    assert path.read_text() == "not a database\n" * 1000


def test_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open database file"):
        EventStore(tmp_path)


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"events\.sqlite3: (File exists|Not a directory)"):
        EventStore(tmp_path / "file" / "events.sqlite3")


def test_an_update_that_only_added_to_the_store_can_be_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.sqlite3"
    more = "ALTER TABLE event ADD COLUMN colour TEXT NOT NULL DEFAULT ''"
    for steps in ((*STEPS, more), STEPS, (*STEPS, more)):
        monkeypatch.setattr("plateid.store.database.STEPS", steps)
        with closing(EventStore(path)) as store:
            append(store, store.next_seq())
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*), max(colour) FROM event").fetchone() == (3, "")


def test_a_newer_layout_that_cannot_be_used_is_an_error_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.sqlite3"
    with monkeypatch.context() as newer:
        newer.setattr("plateid.store.database.STEPS", (*STEPS, "DROP VIEW settled"))
        newer.setattr("plateid.store.database.USABLE_FROM", len(STEPS) + 1)
        EventStore(path).close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="made by a newer plateid"):
        EventStore(path)
    assert path.read_bytes() == before


def test_an_older_layout_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite3"
    with closing(sqlite3.connect(path)) as db:
        for step in STEPS[:2]:
            db.execute(step)
        db.execute("PRAGMA user_version = 2")
    with closing(EventStore(path)) as store:
        store.append(SEEN)
        assert store.counts() == Counts(events=1, outbox=1)


def test_a_closed_store_is_an_error(store: EventStore) -> None:
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.append(SEEN)


def damaged(path: Path, what: str) -> bytes:
    """A store of 50 events with one thing broken: the header, a table, or what an event says.

    Gives what follows the header, which to open it writes to.
    """
    with closing(EventStore(path)) as store:
        for seq in range(1, 51):
            store.append(event(seq, event_type="plate_left"))
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0"
        pages = dict(db.execute(query).fetchall())
        if what == "payload":
            db.execute("UPDATE event SET payload = '\x7f' WHERE position = 40")
        elif what == "text":
            db.execute("UPDATE event SET payload = CAST(x'7bff7d' AS TEXT) WHERE position = 40")
        db.commit()
    content = bytearray(path.read_bytes())
    if what in pages or what == "header":
        start = (pages.get(what, 1) - 1) * 4096
        content[start : start + 4096] = b"\xa5" * 4096
    path.write_bytes(content)
    return bytes(content[4096:])


@pytest.mark.parametrize("what", ["header", "event", "outbox", "box", "payload", "text"])
def test_a_corrupt_file_is_set_aside_and_a_new_one_goes_on(
    tmp_path: Path, what: str, logs: Logs
) -> None:
    path = tmp_path / "events.sqlite3"
    broken = damaged(path, what)
    with closing(EventStore(path, replaces_corrupt=True)) as store:
        with suppress(StoreError):  # this is how it is found, unless on opening
            store.pending(50)
        store.append(event(51))
        assert [json.loads(each.payload)["seq"] for each in store.pending(50)] == [51]
        assert store.replaced == 1
        instance = store.instance
    assert path.with_name("events.sqlite3.corrupt").read_bytes()[4096:] == broken
    (told,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert told["event"] == "event store corrupt, a new one is made"
    assert told["set_aside"] == f"{path}.corrupt"
    with closing(EventStore(path)) as store:
        assert (store.counts(), store.instance) == (Counts(1, 1), instance)


def test_a_new_file_has_the_name_of_the_corrupt_one(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite3"
    damaged(path, "outbox")
    with closing(EventStore(path, replaces_corrupt=True)) as store:
        before = store.instance
        with pytest.raises(StoreError, match="malformed"):
            store.pending(50)
        assert store.counts() == Counts(0, 0)
    with closing(EventStore(path)) as store:
        assert store.instance == before


def test_a_full_disk_puts_off_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite3"
    damaged(path, "outbox")
    with closing(EventStore(path, replaces_corrupt=True)) as store:
        with full_disk():
            for _ in range(3):
                with pytest.raises(StoreError):
                    store.pending(50)
        store.append(event(51))
        assert (store.counts(), store.replaced) == (Counts(1, 1), 1)


def test_only_who_writes_may_set_a_corrupt_file_aside(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite3"
    broken = damaged(path, "outbox")
    with closing(EventStore(path)) as store, pytest.raises(StoreError, match="malformed"):
        store.pending(50)
    assert path.read_bytes()[4096:] == broken


def test_what_was_set_aside_before_makes_room(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite3"
    for _ in range(2):
        broken = damaged(path, "header")
        EventStore(path, replaces_corrupt=True).close()
        path.unlink()
        assert path.with_name("events.sqlite3.corrupt").read_bytes()[4096:] == broken
    assert [file.name for file in tmp_path.iterdir()] == ["events.sqlite3.corrupt"]
