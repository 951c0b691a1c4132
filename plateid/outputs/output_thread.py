"""One thread that delivers events to a webhook or a log file, in order."""

import threading
import time
from collections.abc import Collection, Iterable
from typing import Protocol

import structlog

from plateid.backoff import Backoff, Outage
from plateid.core.records import OutboxEntry
from plateid.errors import OutputError, RefusedError, StoreError

TICK_S = 2.0
"""Longest wait for a new event, seconds."""
BACKOFF = Backoff()
log = structlog.get_logger()


class EventQueue(Protocol):
    """The events that one output has not acknowledged. Each method may raise StoreError."""

    def pending(self, limit: int, *, skip: Collection[str] = ()) -> list[OutboxEntry]:
        """Returns the oldest events in order, except events of the cameras in `skip`."""

    def mark_sent(self, ids: Iterable[str]) -> None:
        """Records that the output may have these events. Called before they are sent."""

    def remove(self, ids: Iterable[str]) -> None:
        """Removes events that the output has acknowledged or refused for good."""


class OutputTarget(Protocol):
    """A webhook or a log file."""

    def deliver(self, entry: OutboxEntry) -> bool:
        """Delivers one event; returns False if the output does not want it and was not asked.

        Raises RefusedError if the output will never take this event. Raises OutputError if the
        output cannot take the event now.
        """


class OutputThread(threading.Thread):
    """Delivers events until `stop`, each until it succeeds; `refused` counts refused events."""

    def __init__(
        self, name: str, target: OutputTarget, queue: EventQueue, *, backoff: Backoff = BACKOFF
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.refused = 0
        self.moved_at = time.monotonic()
        self._output = target
        self._queue = queue
        self._outage = Outage(name, backoff)
        self._store_outage = Outage(f"outbox of {name}", backoff)
        self._new_event = threading.Event()
        self._stop_at: float | None = None

    def notify(self) -> None:
        """Wakes the thread up for a new event."""
        self._new_event.set()

    def stop(self, stop_at: float) -> None:
        """Stops at the first failure, or when `time.monotonic()` is `stop_at`."""
        self._stop_at = stop_at
        self._new_event.set()

    def run(self) -> None:
        """Delivers events; `start` calls it."""
        while self._stop_at is None or time.monotonic() < self._stop_at:
            self.moved_at = time.monotonic()
            if not self._step():
                if self._stop_at is not None:
                    return
                self.moved_at = time.monotonic()
                self._pause(self._retry_s() or TICK_S)

    def _retry_s(self) -> float:
        return max(self._outage.wait_s, self._store_outage.wait_s)

    def _pause(self, seconds: float) -> None:
        """Waits for a new event or for `seconds`. A new event does not end an outage's wait."""
        until = time.monotonic() + seconds
        while self._stop_at is None and (left_s := until - time.monotonic()) > 0:
            self._new_event.wait(left_s)
            self._new_event.clear()
            if not self._retry_s():
                return

    def _step(self) -> bool:
        """Delivers one event; returns whether the next one may follow at once."""
        try:
            entries = self._queue.pending(1)
            for entry in entries:
                self._deliver(entry)
            self._store_outage.recovered()
        except OutputError as error:
            self._outage.failed(error)
            return False
        except StoreError as error:
            self._store_outage.failed(error)
            return False
        return bool(entries)

    def _deliver(self, entry: OutboxEntry) -> None:
        id_ = entry.event.id
        if not entry.sent:
            self._queue.mark_sent([id_])
        asked = True
        try:
            asked = self._output.deliver(entry)
        except RefusedError as error:
            self.refused += 1
            log.error("event refused", output=self.name, id=id_, reason=str(error))  # noqa: TRY400
        if asked:
            self._outage.recovered()
        self._queue.remove([id_])
