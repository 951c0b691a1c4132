"""The output of a run: `events.parquet`."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from plateid.core.records import rfc3339

_FLOATS, _TIME = pa.list_(pa.float64()), pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("source", "pass_id", "camera", "day", "plate")),
        ("confidence", pa.float64()),
        ("char_confidences", _FLOATS),
        ("region", pa.string()),
        *((name, pa.float64()) for name in ("first_seen_s", "last_seen_s")),
        *((name, _TIME) for name in ("first_seen", "last_seen")),
        ("reads", pa.int32()),
        ("box", _FLOATS),
        *((name, pa.string()) for name in ("model", "event")),
    ]
)
"""Columns of `events.parquet`. `event` is the whole event as JSON, for `--import`."""
NAME = "events.parquet"
Passes = Counter[tuple[str, datetime]]
"""Number of passes by camera and hour (UTC)."""
ROWS = 100_000
"""Maximum number of rows of a row group. It ends with its camera and day as well, so that a query
for a camera and a time reads only their row groups."""
_OWN = {"source", "fingerprint", "first_s", "last_s", "is_open", "moved"} | {
    "first_seen_s",
    "last_seen_s",
}
"""Fields of a merged pass that no event has."""


def write_events(out: Path, passes: Iterable[Mapping[str, Any]]) -> Passes:
    """Writes and counts all rows, and replaces the file of before when complete."""
    by_hour = Passes()
    part = out / f".{NAME}.part"
    with pq.ParquetWriter(part, SCHEMA, compression="zstd") as parquet:
        for _, group in groupby(map(_row, passes), lambda row: (row["camera"], row["day"])):
            while rows := list(islice(group, ROWS)):
                parquet.write_table(pa.Table.from_pylist(rows, SCHEMA))
                for row in rows:
                    hour = row["first_seen"].replace(minute=0, second=0, microsecond=0)
                    by_hour[row["camera"], hour] += 1
    part.replace(out / NAME)
    return by_hour


def _row(each: Mapping[str, Any]) -> dict[str, Any]:
    first, last = each["first_seen"].astimezone(UTC), each["last_seen"].astimezone(UTC)
    event = {name: value for name, value in each.items() if name not in _OWN}
    event |= {"first_seen": rfc3339(first), "last_seen": rfc3339(last), "id": each["pass_id"]}
    event |= {"device": "archive", "seq": 0, "sent_at": None}
    return {name: each[name] for name in SCHEMA.names if name in each} | {
        "day": first.strftime("%Y-%m-%d"),
        "region": each["region"] and each["region"]["code"],
        "first_seen": first,
        "last_seen": last,
        "model": each["model"]["bundle"],
        "event": json.dumps(event, separators=(",", ":"), sort_keys=True),
    }
