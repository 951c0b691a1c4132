"""The bounds of the outbox: when the broker is away for too long, the oldest events go."""

import time
from contextlib import suppress

from plateid.backoff import Backoff, Outage
from plateid.config.storage import RetentionConfig
from plateid.errors import StoreError
from plateid.store.event_store import EventStore, Outbox

DAY_S = 86400.0


class Overflow:
    """Keeps the outbox within its bounds, and says once when it begins to drop and when it ends.

    Attributes:
        dropped: Events that will not be sent; the history has them.
    """

    def __init__(self, config: RetentionConfig, store: EventStore) -> None:
        """Drops nothing yet."""
        self.dropped = 0
        self._max_events = config.outbox_events
        self._max_age_s = config.outbox_days * DAY_S
        self._store = store
        self._outage = Outage("outbox", Backoff())

    def check(self) -> None:
        """Drops what is too much; to be called now and then.

        A store that fails is left to those who read and write events.
        """
        with suppress(StoreError):
            outbox = self._store.outbox()
            if self._fill(outbox) > 1:
                self._drop()
            elif self._fill(outbox) <= 1 / 2:  # or it would begin and end with every event
                self._outage.recovered()

    def _drop(self) -> None:
        self.dropped += self._store.trim_outbox(self._max_events, time.time() - self._max_age_s)
        bounds = f"{self._max_events} events, {self._max_age_s / DAY_S:g} days"
        self._outage.failed(f"full ({bounds}): the oldest are not sent any more")

    def _fill(self, outbox: Outbox) -> float:
        """How much of the bounds is used; over 1 is too much."""
        age_s = 0.0 if outbox.since is None else time.time() - outbox.since
        return max(outbox.events / self._max_events, age_s / self._max_age_s)
