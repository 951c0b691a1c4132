"""A damaged store: the service starts, and loses only what the damaged bytes held."""

import os
import random
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from plateid.errors import ConfigError, StoreError
from plateid.store import salvage
from plateid.store.backlog import Backlog
from plateid.store.event_store import EventStore, StoreCounts
from plateid.store.salvage import KEEP, set_aside_files
from plateid.store.schema import APPLICATION_ID, STATEMENTS
from plateid.store.sequence import COUNTERS
from tests.support.broken_disk import damaged
from tests.support.broker import until
from tests.support.disks import fill, small_disk
from tests.support.samples import append, event, outbox_of

EVENTS = range(1, 41)
PAGE = 4096
LIMIT_S = 10.0
"""Longest time of a start."""
FLIPS_S = 12.0
"""Time for the flips of the schema's bytes, in a random order: all of them take minutes."""


@dataclass(frozen=True)
class Sample:
    """A closed store whose events are all unsent, and where it keeps them."""

    content: bytes
    events: dict[int, int]
    deliveries: tuple[int, ...]
    schema: tuple[int, ...]

    def expected(self, damaged):
        """The events that must be sent if some pages are damaged."""
        if all(page in damaged for page in self.deliveries):
            return set()
        return {seq for seq, page in self.events.items() if page not in damaged}


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    path = tmp_path_factory.mktemp("sample") / "events.sqlite3"
    with closing(EventStore(path)) as store:
        append(store, *EVENTS)
        rows = store.rows("SELECT payload ->> '$.seq', payload FROM event")
        pages = dict(store.rows("SELECT name, rootpage FROM sqlite_schema"))
    content = path.read_bytes()
    events = {seq: content.index(payload.encode()) // PAGE + 1 for seq, payload in rows}
    texts = [text[:25].splitlines()[0].encode() for text in STATEMENTS if "CREATE" in text]
    schema = {1, *(content.index(text) // PAGE + 1 for text in texts)}
    deliveries = pages["delivery"], pages["delivery_position"]
    return Sample(content, events, deliveries, tuple(sorted(schema)))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.sqlite3"


def start(path, content):
    """Opens a store as the service does; returns what it sends."""
    for file in path.parent.iterdir():
        file.unlink()
    path.write_bytes(content)
    started = time.monotonic()
    with closing(EventStore(path, outputs=[], service=True)) as store:
        backlog = Backlog(store)
        found = -1
        while backlog.failure or found != store.replaced:  # some damage is found by reading only
            found = store.replaced
            backlog.flush()
            sent = {entry.event.seq for entry in outbox_of(backlog).pending(99)}
        backlog.accept(event(99))
        assert time.monotonic() - started < LIMIT_S
        assert store.counts().outbox > len(sent)
    return sent


def flipped(content, places, rng):
    changed = bytearray(content)
    for place in places:
        changed[place] ^= rng.randint(1, 255)
    return bytes(changed)


def test_store_with_any_flipped_byte_in_its_schema_loses_nothing_of_other_pages(sample, path):
    rng, until = random.Random(1), time.monotonic() + FLIPS_S
    places = [(page - 1) * PAGE + byte for page in sample.schema for byte in range(PAGE)]
    rng.shuffle(places)
    for place in places:
        sent = start(path, flipped(sample.content, [place], rng))
        assert sent >= sample.expected({place // PAGE + 1}), place
        if time.monotonic() > until:
            break


@pytest.mark.parametrize(("count", "rounds"), [(1, 200), (20, 100)])
def test_store_with_random_damage_loses_only_damaged_pages(sample, path, count, rounds):
    rng = random.Random(count)
    for number in range(rounds):
        places = rng.sample(range(len(sample.content)), count)
        sent = start(path, flipped(sample.content, places, rng))
        assert sent >= sample.expected({place // PAGE + 1 for place in places}), number


def test_truncated_store_sends_the_events_that_are_left(sample, path):
    pages = len(sample.content) // PAGE
    for left in range(1, pages):
        sent = start(path, sample.content[: left * PAGE])
        assert sent >= sample.expected(set(range(left + 1, pages + 1))), left


@pytest.mark.parametrize("content", [b"", bytes(9 * PAGE), b"SQLite format 3\0" + b"\xa5" * 9999])
def test_store_without_any_content_is_replaced(path, content):
    assert start(path, content) == set()


def test_events_that_only_the_log_holds_are_sent(sample, path):
    path.write_bytes(sample.content)
    with closing(EventStore(path)) as store:
        append(store, *range(50, 60))
        log, content = path.with_name(f"{path.name}-wal").read_bytes(), path.read_bytes()
    other = path.with_name("other.sqlite3")
    other.write_bytes(content.replace(b"CREATE INDEX event_pass", b"CREATE IND\xc3X event_pass"))
    other.with_name(f"{other.name}-wal").write_bytes(log)
    with closing(EventStore(other, service=True)) as store:
        assert store.replaced == 1
        sent = {entry.event.seq for entry in outbox_of(store).pending(99)}
        assert sent == {*EVENTS, *range(50, 60)}
        assert store.next_seq() % COUNTERS == 1


def test_history_instance_and_marks_are_kept(path, logs):
    with closing(EventStore(path, outputs=["hook"])) as store:
        append(store, *EVENTS, event_type="plate_left")
        instance, outbox = store.instance, outbox_of(store)
        entries = outbox.pending(20)
        outbox.remove([entry.event.id for entry in entries[:10]])
        outbox.mark_sent([entry.event.id for entry in entries[10:]])
        store.set_components({"a": "sensor"})
        before = store.rows("SELECT * FROM event")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"CREATE INDEX event_pass", b"CREATE IND\xc3X event_pass"))
    with closing(EventStore(path, outputs=["hook"], service=True)) as store:
        assert store.rows("SELECT * FROM event") == before
        assert store.instance == instance
        assert [entry.sent for entry in outbox_of(store).pending(99)] == [True] * 10 + [False] * 20
        assert len(outbox_of(store, "hook").pending(99)) == len(EVENTS)
        assert store.components() == {"a": "sensor"}
    (entry,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert (entry["events"], entry["left"]) == (len(EVENTS), 0)
    assert Path(entry["set_aside"]).read_bytes()[PAGE:] != b""


def test_newest_damaged_stores_are_kept_under_dated_names(sample, path, monkeypatch):
    damaged, now = [], time.time()
    for number in range(KEEP + 2):
        monkeypatch.setattr(time, "time", lambda second=number: now + second)
        damaged.append(sample.content[:-PAGE] + bytes([number + 1]) * PAGE)
        path.write_bytes(damaged[-1])
        EventStore(path, service=True).close()
    aside = set_aside_files(path)
    assert [file.read_bytes()[-PAGE:] for file in aside] == [each[-PAGE:] for each in damaged[2:]]
    assert sorted(path.parent.iterdir()) == [path, *aside]


def test_replacement_that_a_power_cut_interrupted_is_finished(sample, path):
    damaged = sample.content[: 9 * PAGE]
    path.write_bytes(damaged)
    path.with_name(f"{path.name}.corrupt-replaced").write_bytes(sample.content)
    with closing(EventStore(path, service=True)) as store:
        assert store.counts().outbox == len(EVENTS)
    assert [file.read_bytes() for file in set_aside_files(path)] == [damaged]


def test_second_damage_within_a_second_overwrites_no_earlier_file(sample, path):
    for length in (9, 8):
        path.write_bytes(sample.content[: length * PAGE])
        EventStore(path, service=True).close()
    assert {file.stat().st_size // PAGE for file in set_aside_files(path)} == {9, 8}


@pytest.mark.parametrize("content", [b'[mqtt]\nhost = "a"\n', b"\xff\xd8\xff\xe0" * 5000, b"x"])
def test_foreign_file_is_an_error_and_is_untouched(path, content):
    path.write_bytes(content)
    for replaces in (True, False):
        with pytest.raises(ConfigError) as raised:
            EventStore(path, service=replaces)
        assert str(raised.value) == f"store.path: {path} is not a plateid store"
    assert [file.read_bytes() for file in path.parent.iterdir()] == [content]


@pytest.mark.parametrize("device", ["/dev/null", None])
def test_fifo_and_device_are_errors_at_once_and_are_untouched(path, device):
    if device is None:
        os.mkfifo(path)
    else:
        path.symlink_to(device)
    with pytest.raises(ConfigError, match="is not a regular file"):
        EventStore(path, service=True)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_foreign_database_is_an_error_and_is_untouched(path):
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE states (id TEXT)")
        db.execute("PRAGMA user_version = 100")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="move the file away"):
        EventStore(path, service=True)
    assert path.read_bytes()[PAGE:] == before[PAGE:]
    assert set_aside_files(path) == []


def test_new_store_has_the_application_id(store):
    assert store.rows("PRAGMA application_id") == [(APPLICATION_ID,)]


def test_unsent_events_are_copied_first_if_the_time_runs_out(path, monkeypatch):
    with closing(EventStore(path)) as store:
        append(store, *EVENTS)
        outbox = outbox_of(store)
        outbox.remove([entry.event.id for entry in outbox.pending(99)[5:]])
    content = path.read_bytes()
    path.write_bytes(content.replace(b"CREATE INDEX event_pass", b"CREATE IND\xc3X event_pass"))
    monkeypatch.setattr(salvage, "LIMIT_S", 0.0)
    monkeypatch.setattr(salvage, "BATCH", 5)
    with closing(EventStore(path, service=True)) as store:
        assert store.counts() == StoreCounts(events=5, outbox=5)


@pytest.mark.parametrize("offset", [60, 68, 96])
def test_damaged_layout_number_or_identifier_is_repaired(sample, path, offset):
    sent = start(path, flipped(sample.content, range(offset, offset + 4), random.Random(2)))
    assert sent == {*EVENTS}


@pytest.mark.root
@pytest.mark.parametrize("what", ["header", "event"])
def test_damaged_store_on_a_full_disk_is_replaced_once_there_is_room(tmp_path, what):
    with small_disk(tmp_path / "disk") as disk:
        damaged(disk / "events.sqlite3", what)
        file = fill(disk)
        with closing(EventStore(disk / "events.sqlite3", service=True)) as store:
            backlog = Backlog(store)
            backlog.accept(event(51))
            assert "full" in backlog.failure or "No space" in backlog.failure
            assert [entry.event.seq for entry in outbox_of(backlog).pending(99)] == [51]
            file.unlink()
            until(lambda: backlog.flush() or backlog.failure is None)
            sent = [entry.event.seq for entry in outbox_of(backlog).pending(99)]
            assert (sent[0], sent[-2:], store.replaced) == (1, [50, 51], 1)
