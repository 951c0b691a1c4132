"""Keeps events in memory while the store fails."""

import threading
import time
from collections import deque
from collections.abc import Callable

import structlog

from plateid.backoff import Backoff, Outage
from plateid.core.records import PlateEvent
from plateid.errors import StoreError
from plateid.store.event_store import EventStore

CAPACITY = 1000
"""Maximum number of events in memory."""
STEP_S = 1.0
"""Longest time of one call, seconds: on a slow card, all events could exceed the watchdog time."""
RETRY_S = 0.1
"""Interval of the retries of `drain`, seconds."""
log = structlog.get_logger()


class Backlog:
    """Stores the events of the pipelines, and keeps them in a bounded memory while that fails.

    May be used from any thread. `dropped` counts events that were lost because the memory was full.
    """

    def __init__(
        self, store: EventStore, stored: Callable[[], None], *, capacity: int = CAPACITY
    ) -> None:
        """Calls `stored` each time events have reached the disk."""
        self.dropped = 0
        self._store = store
        self._stored = stored
        self._capacity = capacity
        self._waiting: deque[PlateEvent] = deque()
        self._outage = Outage("event store", Backoff())
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Number of events that are not on disk."""
        return len(self._waiting)

    def accept(self, event: PlateEvent) -> None:
        """Stores an event after all waiting ones. If the memory is full, the oldest are lost."""
        with self._lock:
            self._waiting.append(event)
        self.flush()

    def flush(self, step_s: float = STEP_S) -> None:
        """Stores waiting events in order, at least one, as far as store and time allow."""
        with self._lock:
            stored = self._store_waiting(time.monotonic() + step_s)
            while len(self._waiting) > self._capacity:
                lost = self._waiting.popleft()
                self.dropped += 1
                log.error("event lost", id=lost.id, camera=lost.camera, dropped=self.dropped)
        if stored:
            self._stored()

    def drain(self, timeout_s: float) -> None:
        """Stores all waiting events, and retries until the time is over; the last call."""
        until = time.monotonic() + timeout_s
        self.flush(timeout_s)
        while self._waiting and (left_s := until - time.monotonic()) > 0:
            time.sleep(min(RETRY_S, left_s))
            self.flush(left_s)

    def _store_waiting(self, until: float) -> int:
        """Returns the number of stored events."""
        before = len(self._waiting)
        try:
            while self._waiting:
                self._store.append(self._waiting[0])
                self._waiting.popleft()
                if time.monotonic() >= until:
                    break
            self._outage.recovered()
        except StoreError as error:
            self._outage.failed(error)
        return before - len(self._waiting)
