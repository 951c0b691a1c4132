"""What happens to events while the store fails."""

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
STEP_S = 1.0
"""The longest that one call stores: on a slow card, all may take longer than a watchdog waits."""
AGAIN_S = 0.1
log = structlog.get_logger()


class Backlog:
    """Puts the events of the pipelines into the store, or in a bounded memory while that fails.

    May be called from several threads.

    Attributes:
        dropped: Events that were lost because the memory was full.
    """

    def __init__(
        self, store: EventStore, stored: Callable[[], None], *, capacity: int = CAPACITY
    ) -> None:
        """`stored` is called after events have reached the disk."""
        self.dropped = 0
        self._store = store
        self._stored = stored
        self._capacity = capacity
        self._waiting: deque[PlateEvent] = deque()
        self._outage = Outage("event store", Backoff())
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Events that are not on disk."""
        return len(self._waiting)

    def accept(self, event: PlateEvent) -> None:
        """Stores an event, after those that wait; while the store fails, the oldest make room."""
        with self._lock:
            self._waiting.append(event)
        self.flush()

    def flush(self, step_s: float = STEP_S) -> None:
        """Stores what waits, in order, one at least, as far as store and time allow."""
        with self._lock:
            stored = self._store_waiting(time.monotonic() + step_s)
            while len(self._waiting) > self._capacity:
                lost = self._waiting.popleft()
                self.dropped += 1
                log.error("event lost", id=lost.id, camera=lost.camera, dropped=self.dropped)
        if stored:
            self._stored()

    def drain(self, timeout_s: float) -> None:
        """Stores what waits, for the last time: a store that is busy is asked again and again."""
        until = time.monotonic() + timeout_s
        self.flush(timeout_s)
        while self._waiting and (left_s := until - time.monotonic()) > 0:
            time.sleep(min(AGAIN_S, left_s))
            self.flush(left_s)

    def _store_waiting(self, until: float) -> int:
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
