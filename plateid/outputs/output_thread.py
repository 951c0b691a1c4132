"""One thread that brings what waits for a sink to it, in order."""

import threading
import time
from typing import Protocol

import structlog

from plateid.backoff import Backoff, Outage
from plateid.config.storage import RetentionConfig
from plateid.errors import RefusedError, SinkError, StoreError
from plateid.store.overflow import DAY_S
from plateid.store.queues import Queued, Queues

TICK_S = 2.0
BACKOFF = Backoff()
log = structlog.get_logger()


class Target(Protocol):
    """Where events go."""

    def deliver(self, queued: Queued) -> bool:
        """Takes one event; False when it is none for the sink, which was not asked.

        Raises:
            SinkError: It cannot be taken now; RefusedError: never.
        """
        ...


class Courier:
    """Delivers until `stop`: what fails is tried again for ever, and what follows waits.

    Attributes:
        name: Of the sink.
        refused: Events that it would not take.
        dropped: Events that waited for too long, or were too many.
        moved_at: When the thread last began a step or a wait, as `time.monotonic()`.
    """

    def __init__(
        self,
        name: str,
        target: Target,
        *,
        queues: Queues,
        bounds: RetentionConfig,
        backoff: Backoff = BACKOFF,
    ) -> None:
        """Does nothing yet."""
        self.name = name
        self.refused = self.dropped = 0
        self.moved_at = time.monotonic()
        self._target = target
        self._queues = queues
        self._bounds = bounds
        self._outage = Outage(name, backoff)
        self._store_outage = Outage(f"outbox of {name}", backoff)
        self._overflow = Outage(f"overflow of {name}", backoff)
        self._trim_at = 0.0
        self._wake = threading.Event()
        self._stop_at: float | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def notify(self) -> None:
        """There is something new."""
        self._wake.set()

    def stop(self, stop_at: float) -> None:
        """Delivers what goes at the first try, until `time.monotonic()` is `stop_at`."""
        self._stop_at = stop_at
        self._wake.set()

    def join(self, timeout_s: float) -> None:
        """Waits for the thread."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._over():
            self.moved_at = time.monotonic()
            if not self._step():
                if self._stop_at is not None:
                    return
                self.moved_at = time.monotonic()
                waits = (outage.wait_s for outage in (self._outage, self._store_outage))
                self._pause(max(waits) or TICK_S)

    def _over(self) -> bool:
        return self._stop_at is not None and time.monotonic() >= self._stop_at

    def _pause(self, seconds: float) -> None:
        """Until there is something to do; an outage is not shortened by new events."""
        until = time.monotonic() + seconds
        while self._stop_at is None and (left_s := until - time.monotonic()) > 0:
            self._wake.wait(left_s)
            self._wake.clear()
            if not (self._outage.wait_s or self._store_outage.wait_s):
                return

    def _step(self) -> bool:
        """Delivers one event; whether it is worth while to go on at once."""
        try:
            self._trim()
            queued = self._queues.first(self.name)
            if queued is None:
                self._overflow.recovered()
            else:
                self._deliver(queued)
            self._store_outage.recovered()
        except SinkError as error:
            self._outage.failed(error)
            return False
        except StoreError as error:
            self._store_outage.failed(error)
            return False
        return queued is not None

    def _deliver(self, queued: Queued) -> None:
        if not queued.sent:
            self._queues.mark_sent(self.name, queued)
        asked = True
        try:
            asked = self._target.deliver(queued)
        except RefusedError as error:
            self.refused += 1
            reason = str(error)
            log.error("event refused", sink=self.name, id=queued.id, reason=reason)  # noqa: TRY400
        if asked:
            self._outage.recovered()
        self._queues.remove(self.name, queued)

    def _trim(self) -> None:
        if time.monotonic() < self._trim_at:
            return
        self._trim_at = time.monotonic() + TICK_S
        bounds = self._bounds
        not_before = time.time() - bounds.outbox_days * DAY_S
        dropped = self._queues.trim(self.name, bounds.outbox_events, not_before)
        if dropped:
            self.dropped += dropped
            self._overflow.failed(
                f"full ({bounds.outbox_events} events, {bounds.outbox_days:g} days): "
                "the oldest are not sent any more"
            )
