"""Counts the vehicles inside, and publishes the number when it changes."""

import json
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from plateid.backoff import Backoff, Outage
from plateid.config.service import OccupancyConfig
from plateid.core.records import PlateEvent
from plateid.errors import StoreError
from plateid.store.sessions import Sessions

MAX_WAITING = 1000
"""Maximum number of events that wait while the disk fails."""


class Occupancy:
    """Notes events in the sessions, in order, if `[occupancy]` is on. Thread-safe."""

    def __init__(
        self, config: OccupancyConfig, store: Path, publish: Callable[[str], None]
    ) -> None:
        """`publish` gets the report as JSON, after each change and each check."""
        self._enabled = config.enabled
        self._sessions = Sessions(store, config)
        self._publish = publish
        self._waiting: deque[PlateEvent] = deque(maxlen=MAX_WAITING)
        self._outage = Outage("occupancy", Backoff())
        self._lock = threading.Lock()

    def accept(self, event: PlateEvent) -> None:
        """Notes an event, as `[privacy]` allows to store it."""
        if self._enabled:
            self._waiting.append(event)
            self.check()

    def check(self) -> None:
        """Notes waiting events. Call it periodically: the web UI may have corrected a session."""
        if not self._enabled:
            return
        with self._lock:
            try:
                while self._waiting:
                    self._sessions.note(self._waiting[0])
                    self._waiting.popleft()
                report = self._sessions.report()
            except StoreError as error:
                self._outage.failed(error)
            else:
                self._outage.recovered()
                self._publish(json.dumps(report, ensure_ascii=False))
