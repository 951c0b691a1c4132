"""Finds sequence numbers that the hub lacks, and asks devices for their events again."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.types.multirange import Multirange

from plateid.config.hub import DatabaseConfig
from plateid.hub.database import connect, database_errors
from plateid.store.sequence import COUNTERS

LOOK_S = 5.0
"""Seconds between two looks for gaps. A gap counts if two looks find it: a message may be late."""
MAX_EVENTS = 1000
"""Maximum number of events that one request asks a device for."""
MAX_PAUSE_S = 3600
"""Longest time between two requests for the same events, seconds; it doubles up to this."""
ONLINE_S = 120
"""Age of a health report up to which its device is asked, seconds."""
MISSING = "int8multirange(int8range(1, greatest(last + 1, upper(seen), 1))) - seen"
"""SQL of the counters that are missing in a row of `sequence`."""
LOOK = f"""
    WITH gap AS (
        SELECT device, epoch, missing AS before, {MISSING} AS after FROM sequence
        WHERE request_at <= now() AND (isempty({MISSING}) OR EXISTS (
            SELECT FROM device WHERE name = sequence.device
            AND health_at > now() - %(online_s)s * interval '1 second'))
        ORDER BY request_at LIMIT 1000 FOR UPDATE OF sequence SKIP LOCKED
    )
    UPDATE sequence SET missing = after,
        requests = CASE WHEN before = after AND NOT isempty(after) THEN requests + 1 ELSE 0 END,
        request_at = CASE WHEN isempty(after) THEN 'infinity' ELSE now() + least(
            %(max_pause_s)s,
            %(look_s)s * CASE WHEN before = after THEN 2 ^ least(requests, 12) ELSE 1 END
        ) * interval '1 second' END
    FROM gap WHERE (sequence.device, sequence.epoch) = (gap.device, gap.epoch)
    RETURNING gap.device, gap.epoch, before * after"""  # noqa: S608 - a constant
ALL = f"SELECT device, epoch, {MISSING}, requests FROM sequence WHERE NOT isempty({MISSING}) ORDER BY 1, 2"  # noqa: S608, E501 - as above


@dataclass(frozen=True)
class Gap:
    """Events of one epoch of a device that the hub lacks: first and last numbers, inclusive."""

    device: str
    ranges: tuple[tuple[int, int], ...]
    requests: int = 0

    @property
    def events(self) -> int:
        """Number of missing events."""
        return sum(last - first + 1 for first, last in self.ranges)

    def to_request(self) -> str:
        """Returns the payload of a request for the oldest events."""
        left, ranges = MAX_EVENTS, []
        for first, last in self.ranges:
            if left > 0:
                ranges.append((first, min(last, first + left - 1)))
                left -= last - first + 1
        return json.dumps({"ranges": ranges})


def look(db: psycopg.Connection) -> list[Gap]:
    """Returns the gaps to ask for now, each to one of all hubs; psycopg.Error if that fails."""
    values = {"online_s": ONLINE_S, "max_pause_s": MAX_PAUSE_S, "look_s": LOOK_S}
    rows = db.execute(LOOK.encode(), values).fetchall()
    return [Gap(device, _ranges(epoch, missing)) for device, epoch, missing in rows if missing]


def all_gaps(config: DatabaseConfig) -> Iterator[Gap]:
    """Gives all gaps; raises StoreError."""
    with connect(config, purpose="gaps") as db, database_errors(config):
        for device, epoch, missing, requests in db.execute(ALL.encode()):
            yield Gap(device, _ranges(epoch, missing), requests)


def _ranges(epoch: int, missing: Multirange[Any]) -> tuple[tuple[int, int], ...]:
    start = epoch * COUNTERS
    bounds = ((part.lower or 0, part.upper or 0) for part in missing)  # both are always there
    return tuple((start + first, start + end - 1) for first, end in bounds)
