"""The outbox: the events that an output has not acknowledged."""

import shutil
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

from plateid.backoff import Backoff, Outage
from plateid.config.storage import DAY_S, RetentionConfig
from plateid.core.clock import CLOCK
from plateid.core.health import OutboxHealth, StorageHealth
from plateid.core.records import OutboxEntry
from plateid.errors import StoreError
from plateid.store.backlog import Backlog
from plateid.store.resend import queue_again
from plateid.store.schema import MQTT

TRIM = """
    DELETE FROM delivery WHERE output = ?1 AND (queued_at < ?2 OR position <= (
        SELECT position FROM delivery WHERE output = ?1
        ORDER BY position DESC LIMIT 1 OFFSET ?3))"""


class Outbox:
    """The events that one output has not acknowledged, oldest first, with bounds.

    May be used from any thread. `pending`, `mark_sent` and `remove` may raise StoreError. An event
    that leaves the outbox stays in the history. A deleted event leaves every outbox. `dropped`
    counts the events that left it undelivered, because they were too many or too old.
    """

    def __init__(self, backlog: Backlog, bounds: RetentionConfig, output: str = MQTT) -> None:
        """Uses the outbox of an output, one of those that the store was opened with."""
        self.dropped = 0
        self._backlog = backlog
        self._store = backlog.store
        self._output = output
        self._max_events = bounds.outbox_events
        self._max_age_s = bounds.outbox_days * DAY_S
        self._overflow = Outage(f"overflow of {output}", Backoff())

    def pending(self, limit: int, *, skip: Collection[str] = ()) -> list[OutboxEntry]:
        """Returns the oldest events, without those of the cameras in `skip`."""
        return self._backlog.pending(self._output, limit, skip=skip)

    def mark_sent(self, ids: Iterable[str]) -> None:
        """Notes, before they are sent, that the output may have these events from now on."""
        self._backlog.note(self._output, sent=ids)

    def remove(self, ids: Iterable[str]) -> None:
        """Removes events that the output has acknowledged, or will never take."""
        self._backlog.note(self._output, done=ids)

    def resend(self, ranges: Sequence[tuple[int, int]]) -> int:
        """Queues stored events again; see `store.resend`."""
        return queue_again(self._store, ranges)

    def health(self) -> OutboxHealth:
        """Returns the number of events and the age of the oldest, None if the store fails."""
        try:
            events, since = self._fill()
        except StoreError:
            return OutboxHealth(None, None, self.dropped)
        oldest_s = None if since is None else max(0, round(time.time() - since))
        return OutboxHealth(events, oldest_s, self.dropped)

    def storage_health(self) -> StorageHealth:
        """Returns the state of the store; values that cannot be read are None or empty."""
        last_seen, free_mb, last_seq = dict[str, str](), None, None
        with suppress(StoreError):
            last_seen = self._store.last_seen()
            last_seq = self._store.last_seq()
        with suppress(OSError):
            free_mb = shutil.disk_usage(self._store.path.parent).free // 1_000_000
        return StorageHealth(
            disk_failure=self._backlog.failure,
            outbox=self.health(),
            unstored=len(self._backlog),
            lost=self._backlog.dropped,
            stores_replaced=self._store.replaced,
            last_seen=last_seen,
            disk_free_mb=free_mb,
            last_seq=last_seq,
        )

    def trim(self) -> None:
        """Removes the oldest of too many or too old events, unless the store fails."""
        if self._backlog.failure is not None:
            return
        with suppress(StoreError):
            events, since = self._fill()
            age_s = 0.0 if since is None or not CLOCK.is_trusted() else time.time() - since
            used = max(events / self._max_events, age_s / self._max_age_s)
            if used > 1:
                self._drop_oldest()
            elif used <= 1 / 2:  # not 1, or the overflow would start and end with every event
                self._overflow.recovered()

    def _drop_oldest(self) -> None:
        values = (self._output, CLOCK.ago(self._max_age_s), self._max_events)
        with self._store.transaction() as db:
            dropped = db.execute(TRIM, values).rowcount
        self.dropped += dropped
        bounds = f"{self._max_events} events, {self._max_age_s / DAY_S:g} days"
        self._overflow.failed(f"full ({bounds}): the oldest are not sent any more")

    def _fill(self) -> tuple[int, float | None]:
        """Returns the number of events, and the time of the oldest one, None if none has a time."""
        query = "SELECT count(*), min(queued_at) FROM delivery WHERE output = ?"
        ((events, since),) = self._store.rows(query, self._output)
        return max(0, events + self._backlog.surplus(self._output)), since
