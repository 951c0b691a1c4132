"""Counts the passes that ended without an event although their plate was read, by hour."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from plateid.backoff import Backoff, Outage
from plateid.core.records import rfc3339
from plateid.errors import StoreError
from plateid.store.side_file import LabelFile

HOUR = len("2026-11-24T12")
"""Length of an RFC 3339 time up to its hour."""
INTERVAL_S = 60.0
"""Interval between two writes, seconds."""
ADD = """
    INSERT INTO unpublished VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET passes = passes + excluded.passes"""
SELECT = """
    SELECT hour, sum(passes) FROM unpublished
    WHERE hour >= ? AND hour <= ? AND (camera = ? OR ? = '') GROUP BY hour"""


class UnpublishedPasses:
    """Stores the counts of the cameras. All calls of `check` come from one thread."""

    def __init__(self, store: Path) -> None:
        self._file = LabelFile(store)
        self._stored: dict[str, int] = {}
        self._outage = Outage("counts of unpublished passes", Backoff())
        self._due_at = 0.0

    def check(self, totals: Mapping[str, int], *, now: bool = False) -> None:
        """Stores what is new in `totals` since the start: once a minute, or `now`."""
        added = {name: total - self._stored.get(name, 0) for name, total in totals.items()}
        early = time.monotonic() < self._due_at or self._outage.wait_s
        if not any(added.values()) or (early and not now):
            return
        hour = rfc3339(datetime.now(UTC))[:HOUR]
        with self._outage.noted(StoreError):
            with self._file.opened() as db:
                db.executemany(ADD, [(hour, name, n) for name, n in added.items() if n])
            self._stored, self._due_at = dict(totals), time.monotonic() + INTERVAL_S

    def by_hour(self, since: datetime, until: datetime, *, camera: str = "") -> dict[str, int]:
        """Returns the passes of each hour (UTC) with any; raises StoreError."""
        if not self._file.path.exists():
            return {}
        limits = (rfc3339(since)[:HOUR], rfc3339(until)[:HOUR])
        with self._file.opened() as db:
            return dict(db.execute(SELECT, (*limits, camera, camera)).fetchall())
