"""A damaged store: the service starts, and loses only what the damaged bytes held."""

import random
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest

from plateid.errors import ConfigError, StoreError
from plateid.store.event_store import EventStore
from plateid.store.salvage import KEEP, set_aside_files
from plateid.store.schema import APPLICATION_ID, STATEMENTS
from tests.support.samples import append, outbox_of

EVENTS = range(1, 41)
PAGE = 4096
LIMIT_S = 10.0
"""Longest time of a start."""
FLIPS_S = 15.0
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
    with closing(EventStore(path, outputs=[], replaces_corrupt=True)) as store:
        for _ in range(3):
            with suppress(StoreError):  # damage that is found only now
                sent = {entry.event.seq for entry in outbox_of(store).pending(99)}
                append(store, 99)
                break
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
    for done, place in enumerate(places):
        sent = start(path, flipped(sample.content, [place], rng))
        assert sent >= sample.expected({place // PAGE + 1}), place
        if time.monotonic() > until:
            break
    assert done > 100


@pytest.mark.parametrize(("count", "rounds"), [(1, 300), (20, 300)])
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
