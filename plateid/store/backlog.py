"""Keeps in memory what the store cannot take, and lets the outputs go on meanwhile."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import structlog

from plateid.backoff import Backoff, Outage
from plateid.core.records import OutboxEntry, PlateEvent
from plateid.errors import StoreError
from plateid.store.database import BusyError
from plateid.store.event_store import EventStore

CAPACITY = 1000
"""Maximum number of events in memory."""
STEP_S = 1.0
"""Longest time of one call, seconds: on a slow card, all events could exceed the watchdog time."""
RETRY_S = 0.1
"""Interval of the retries of `drain`, seconds."""
BUSY_S = 5.0
"""Time after which a store that another process uses counts as failed, seconds."""
PROBE_S = 30.0
"""Longest time without a write to the store, seconds, so that a failure shows without an event."""
log = structlog.get_logger()


class Backlog:
    """Stores the events of the pipelines, and what each output has done with them.

    While the store fails, both stay in memory, from which the outputs get the events. Later the
    store gets them in order. May be used from any thread.

    While `failure` says why the store fails, events that are not on disk are sent. `dropped` counts
    events that an output did not get because the memory was full. `notify` is called, never twice
    at a time, for events to send and when `failure` changes.
    """

    def __init__(self, store: EventStore, *, capacity: int = CAPACITY) -> None:
        """Checks whether the store works."""
        self.failure: str | None = None
        self.dropped = 0
        self.notify: Callable[[], None] = lambda: None
        self.store = store
        self._capacity = capacity
        self._waiting: dict[str, PlateEvent] = {}
        self._sent: defaultdict[str, set[str]] = defaultdict(set)
        self._done: defaultdict[str, set[str]] = defaultdict(set)
        self._unrecorded = 0
        self._outage = Outage("event store", Backoff())
        self._failing_since: float | None = None
        self._written_at = 0.0
        self._lock = threading.RLock()
        self._fails_since_start = False
        self.flush()
        self._fails_since_start = self.failure is not None

    def __len__(self) -> int:
        """Number of events that are not on disk."""
        return len(self._waiting)

    @property
    def unsent(self) -> int:
        """Number of events that are not on disk, and that an output did not get."""
        with self._lock:
            return sum(not self._is_done(id_) for id_ in self._waiting)

    def accept(self, event: PlateEvent) -> None:
        """Stores an event after all waiting ones."""
        with self._lock:
            self._waiting[event.id] = event
        self.flush()

    def flush(self, step_s: float = STEP_S) -> None:
        """Stores waiting events in order as time allows; drops the oldest if memory is full."""
        with self._lock:
            before = len(self._waiting)
            with self._noted():
                self._store_waiting(time.monotonic() + step_s)
            changed = before != len(self._waiting) or self.failure is not None
            while len(self._waiting) > self._capacity:
                self._drop_one()
            if changed:
                self.notify()

    def drain(self, timeout_s: float) -> None:
        """Stores all waiting events, and retries while another process uses the store."""
        until = time.monotonic() + timeout_s
        self.flush(timeout_s)
        while self._waiting and not self.failure and (left_s := until - time.monotonic()) > 0:
            time.sleep(min(RETRY_S, left_s))
            self.flush(left_s)

    def note(self, output: str, *, sent: Iterable[str] = (), done: Iterable[str] = ()) -> None:
        """Notes ids that an output may have, and has; raises StoreError if the store is busy."""
        sent, done = set(sent), set(done)
        with self._lock:
            if self.failure is None:
                with self._noted(raises=True):
                    self.store.note_deliveries(output, sent=sent, done=done)
                    return
            self._sent[output] |= sent
            self._done[output] |= done

    def pending(self, output: str, limit: int, *, skip: Collection[str]) -> list[OutboxEntry]:
        """Returns the events on disk, then those in memory if the store fails.

        Leaves out the cameras in `skip`; raises StoreError while another process uses the store.
        """
        with self._lock:
            entries, sent, done = list[OutboxEntry](), self._sent[output], self._done[output]
            with self._noted(raises=True):
                known = done | self._waiting.keys()
                entries = self.store.pending(output, limit, skip=skip, known=known)
            if self.failure is not None:
                maybe = self._fails_since_start  # an earlier start may have sent them
                entries = [
                    replace(each, sent=maybe or each.sent or each.event.id in sent)
                    for each in entries
                ]
                entries += [
                    OutboxEntry(event, id_ in sent)
                    for id_, event in self._waiting.items()
                    if id_ not in done and event.camera not in skip
                ]
            return entries[:limit]

    def surplus(self, output: str) -> int:
        """Returns how many more events wait for an output than the store says."""
        with self._lock:
            waiting, done = self._waiting.keys(), self._done[output]
            return len(waiting - done) - len(done - waiting)

    @contextmanager
    def _noted(self, *, raises: bool = False) -> Iterator[None]:
        """Notes a failure of the store; raises it if `raises` and another process is the reason."""
        try:
            yield
        except StoreError as error:
            now = time.monotonic()
            if self._failing_since is None:
                self._failing_since = now
                self._outage.failed(error)
            is_busy = isinstance(error, BusyError) and now - self._failing_since < BUSY_S
            if self.failure is None and not is_busy:
                self.failure = str(error)
                self.notify()
            if raises and self.failure is None:
                raise

    def _store_waiting(self, until: float) -> None:
        """Stores events, then what the outputs have done; the store works if nothing is left."""
        if not self._waiting:
            if self._failing_since is None and time.monotonic() < self._written_at + PROBE_S:
                return
            self.store.probe()
        if self._fails_since_start:
            self.store.note_unknown_deliveries()
            self._fails_since_start = False
        for id_, event in list(self._waiting.items()):
            sent_to, done_by = (
                [output for output, ids in marks.items() if id_ in ids]
                for marks in (self._sent, self._done)
            )
            self.store.append(event, sent=sent_to, done=done_by)
            self._forget(id_)
            if time.monotonic() >= until and self._waiting:
                return
        for output in self._sent.keys() | self._done.keys():
            sent, done = self._sent[output], self._done[output]
            self.store.note_deliveries(output, sent=sent, done=done)
            sent.clear()
            done.clear()
        self._written_at = time.monotonic()
        self._recovered()

    def _recovered(self) -> None:
        self._failing_since = None
        self._outage.recovered()
        if self._unrecorded:
            log.warning("sent events are missing in the history", events=self._unrecorded)
            self._unrecorded = 0
        if self.failure is not None:
            self.failure = None
            self.notify()

    def _is_done(self, id_: str) -> bool:
        """Returns whether every output has an event."""
        return all(id_ in self._done[output] for output in self.store.outputs)

    def _drop_one(self) -> None:
        id_ = next(filter(self._is_done, self._waiting), next(iter(self._waiting)))
        if self._is_done(id_):
            self._unrecorded += 1
        else:
            self.dropped += 1
            camera = self._waiting[id_].camera
            log.error("event lost", id=id_, camera=camera, dropped=self.dropped)
        self._forget(id_)

    def _forget(self, id_: str) -> None:
        del self._waiting[id_]
        for marks in (*self._sent.values(), *self._done.values()):
            marks.discard(id_)
