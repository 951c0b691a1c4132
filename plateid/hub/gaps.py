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
ALL = """
    SELECT device, epoch, gaps(sequence), requests FROM sequence WHERE NOT isempty(gaps(sequence))
    ORDER BY 1, 2"""


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
    rows = db.execute("SELECT * FROM due_gaps(%s)", (int(LOOK_S),)).fetchall()
    return [Gap(device, _ranges(epoch, missing)) for device, epoch, missing in rows if missing]


def all_gaps(config: DatabaseConfig) -> Iterator[Gap]:
    """Gives all gaps; raises StoreError."""
    with connect(config, purpose="gaps") as db, database_errors(config):
        for device, epoch, missing, requests in db.execute(ALL):
            yield Gap(device, _ranges(epoch, missing), requests)


def _ranges(epoch: int, missing: Multirange[Any]) -> tuple[tuple[int, int], ...]:
    start = epoch * COUNTERS
    bounds = ((part.lower or 0, part.upper or 0) for part in missing)  # both are always there
    return tuple((start + first, start + end - 1) for first, end in bounds)
