"""Queues stored events again that a subscriber has not got."""

import sqlite3
import time
from collections.abc import Sequence

from plateid.store.schema import MQTT
from plateid.store.store_file import StoreFile

MAX_EVENTS = 1000
"""Maximum number of events that one request queues."""
DISORDER = 64
"""Number of positions by which events may be stored out of order: cameras store concurrently."""
REQUESTED = 2
"""Value of `delivery.sent` of an event that was asked for."""
QUEUE = f"""
    INSERT OR IGNORE INTO delivery (output, position, sent, queued_at)
    SELECT '{MQTT}', position, {REQUESTED}, ?1 FROM (
        SELECT position, payload FROM event WHERE position >= ?2 ORDER BY position LIMIT ?3
    ) WHERE json_valid(payload) AND payload ->> '$.seq' BETWEEN ?4 AND ?5"""  # noqa: S608 - constants


def queue_again(store: StoreFile, ranges: Sequence[tuple[int, int]]) -> int:
    """Queues events for MQTT by sequence numbers (inclusive), up to `MAX_EVENTS`.

    Returns how many it has queued; the others are deleted, or wait already. Raises StoreError.
    """
    left = MAX_EVENTS
    queued = 0
    with store.transaction() as db:
        for first, end in ranges:
            last = min(end, first + left - 1)
            left -= max(0, last - first + 1)
            start = _position_of(db, first) - DISORDER
            values = (time.time(), start, MAX_EVENTS + 2 * DISORDER, first, last)
            queued += db.execute(QUEUE, values).rowcount
    return queued


def _position_of(db: sqlite3.Connection, seq: int) -> int:
    """Returns the first position with this sequence number or a higher one, by bisection."""
    query = (
        "SELECT position, payload ->> '$.seq' FROM event"
        " WHERE position >= ? AND json_valid(payload) ORDER BY position LIMIT 1"
    )
    (low, high) = db.execute(
        "SELECT coalesce(min(position), 0), coalesce(max(position), 0) FROM event"
    ).fetchone()
    while low < high:
        middle = (low + high) // 2
        found = db.execute(query, (middle,)).fetchone()
        if found is None or found[1] >= seq:
            high = middle
        else:
            low = found[0] + 1
    return int(low)
