"""Sequence numbers of events: an epoch, which rises at each start, and a counter."""

import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

COUNTERS = 1 << 32
"""Number of sequence numbers in an epoch."""
CLOCK_START_S = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
"""The moment from which an epoch of the clock counts seconds, Unix time."""
SPREAD = 1 << 20
"""Bound of the random part of an epoch that neither clock nor store gives."""


def clock_epoch() -> int:
    """Returns the seconds since 2026, 0 if the clock is before it.

    Each start takes its epoch from the clock, so that it is also beyond those of starts that could
    not write to the store, and of a store that was deleted.
    """
    return max(0, int(time.time() - CLOCK_START_S))


def unstored_epoch(stored: int = 0) -> int:
    """Returns an epoch for a store that cannot be written, and that has the epoch `stored`.

    If the clock is not beyond that, a part is random: the next start takes the one after `stored`.
    """
    epoch = clock_epoch()
    return epoch if epoch > stored else stored + SPREAD + secrets.randbelow(SPREAD)


class Sequence:
    """Gives sequence numbers: `epoch * COUNTERS + counter`. May be used from any thread.

    The first event of an epoch has counter 1, and the epoch rises at each start. So a subscriber
    sees each lost event as a gap, even if it never reached the disk.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._epoch = self._counter = 0
        self._is_stored = False

    def next(self) -> int:
        """Returns the next number. Its epoch comes from the clock if no store has given one."""
        with self._lock:
            self._epoch = self._epoch or unstored_epoch()
            self._counter += 1
            return self._epoch * COUNTERS + self._counter

    def follow(self, last_seq: int, store: Callable[[int], None]) -> None:
        """Goes beyond the epoch of a store.

        `last_seq` is what the store holds; `store` writes the least number of the new epoch to it.
        If that fails, nothing changes: the next start would give the numbers of this epoch again.
        """
        with self._lock:
            stored, epoch, counter = last_seq // COUNTERS, self._epoch, self._counter
            if stored > epoch or (stored == epoch and not self._is_stored):
                epoch, counter = max(stored + 1, clock_epoch()), 0
            store(epoch * COUNTERS)
            self._epoch, self._counter, self._is_stored = epoch, counter, True

    def follow_unwritable(self, last_seq: int) -> None:
        """Takes the epoch from the clock, beyond that of a store that can only be read."""
        with self._lock:
            if not self._epoch:
                self._epoch = unstored_epoch(last_seq // COUNTERS)
