"""Sequence numbers rise across starts, with and without a store that can be written."""

import sqlite3

import pytest

from plateid.store import sequence
from plateid.store.sequence import CLOCK_START_S, COUNTERS, Sequence


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """The clock shows 1000 s after the start of 2026."""
    monkeypatch.setattr(sequence.time, "time", lambda: CLOCK_START_S + 1000)


def numbers(made: Sequence) -> tuple[int, int]:
    return divmod(made.next(), COUNTERS)


def followed(made: Sequence, last_seq: int) -> int:
    """Follows a store; the number that is written to it."""
    written: list[int] = []
    made.follow(last_seq, written.append)
    return written[0]


@pytest.mark.parametrize(("stored", "epoch"), [(7, 1000), (1000, 1001), (5000, 5001)])
def test_epoch_is_beyond_that_of_the_store_and_of_earlier_starts_without_it(stored, epoch):
    made = Sequence()
    assert followed(made, stored * COUNTERS + 5) == epoch * COUNTERS
    assert [numbers(made), numbers(made)] == [(epoch, 1), (epoch, 2)]
    assert followed(made, epoch * COUNTERS + 1) == epoch * COUNTERS, "the same file is opened again"
    assert numbers(made) == (epoch, 3)


def test_epoch_follows_that_of_the_store_if_the_clock_is_not_set(monkeypatch):
    monkeypatch.setattr(sequence.time, "time", lambda: 0.0)
    assert followed(Sequence(), 7 * COUNTERS) == 8 * COUNTERS


def test_epoch_is_that_of_the_clock_without_a_store_and_is_kept():
    made = Sequence()
    assert numbers(made) == (1000, 1)
    assert followed(made, 7 * COUNTERS) == 1000 * COUNTERS
    assert numbers(made) == (1000, 2)


@pytest.mark.parametrize("stored", [7, 1000, 5000])
def test_epoch_of_a_store_that_can_only_be_read_is_that_of_no_other_start(stored):
    made = Sequence()
    made.follow_unwritable(stored * COUNTERS + 1)
    epoch, counter = numbers(made)
    assert counter == 1
    assert epoch == 1000 if stored < 1000 else epoch > stored + 1
    assert numbers(made) == (epoch, 2)


def test_epoch_goes_beyond_a_store_that_is_found_later():
    made = Sequence()
    assert numbers(made) == (1000, 1)
    for stored in (1000, 6000):
        followed(made, stored * COUNTERS + 9)
        assert numbers(made) == (stored + 1, 1)


def test_starts_without_store_and_clock_have_different_epochs(monkeypatch):
    monkeypatch.setattr(sequence.time, "time", lambda: 0.0)
    assert len({numbers(Sequence()) for _ in range(9)}) > 1


def test_epoch_that_cannot_be_stored_is_not_used():
    def full(_seq: int) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    made = Sequence()
    with pytest.raises(sqlite3.OperationalError):
        made.follow(7 * COUNTERS + 5, full)
    made.follow_unwritable(7 * COUNTERS + 5)
    assert numbers(made) == (1000, 1)
    assert followed(made, 7 * COUNTERS + 5) == 1000 * COUNTERS
