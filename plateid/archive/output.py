"""The output of a run: `events.parquet`, `crops` with a contact sheet a day, and `labels`."""

import json
from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from html import escape
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from plateid.core.event_csv import csv_line
from plateid.core.records import rfc3339
from plateid.store.self_labels import COLUMNS, label_line

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
FIGURE = """<figure style="display:inline-block"><img src="{pass_id}.jpg" alt=""><figcaption>{plate}
{confidence:.2f}<br>{shown}<br>{first_seen:%H:%M:%S}</figcaption></figure>
"""
"""One plate of a contact sheet."""
Passes = Counter[tuple[str, datetime]]
"""Number of passes by camera and hour (UTC)."""
ROWS = 5_000
"""Maximum number of rows of a row group. It ends with its camera and day as well, so that a query
for a camera and a time reads only their row groups."""
WRITING: dict[str, Any] = {
    "compression": "zstd",
    "bloom_filter_options": {"plate": {"ndv": ROWS, "fpp": 0.01}},
}
"""Arguments of the Parquet writer: a search for a whole plate reads only the row groups whose Bloom
filter has it; a filter of this size takes 8 kB."""
_OWN = {"source", "fingerprint", "first_s", "last_s", "is_open", "moved"} | {
    *("first_seen_s", "last_seen_s", "crop", "labels"),
}
"""Fields of a merged pass that no event has."""


def write_output(out: Path, passes: Iterable[Mapping[str, Any]]) -> Passes:
    """Writes and counts all passes, and replaces the output of before."""
    by_hour = Passes()
    part = out / f".{NAME}.part"
    with pq.ParquetWriter(part, SCHEMA, **WRITING) as parquet:
        rows = map(_row, _with_images(out, passes))
        for _, group in groupby(rows, lambda row: (row["camera"], row["day"])):
            while part_rows := list(islice(group, ROWS)):
                parquet.write_table(pa.Table.from_pylist(part_rows, SCHEMA))
                for row in part_rows:
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


def _with_images(out: Path, passes: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yields the passes, and writes their images. Other files in these folders stay."""
    lines, sheets = [csv_line(COLUMNS)], set[Path]()
    for each in passes:
        if each["crop"]:
            folder = out / "crops" / f"{each['first_seen'].astimezone(UTC):%Y-%m-%d}"
            _write(folder / f"{each['pass_id']}.jpg", each["crop"])
            mode = "a" if folder in sheets else "w"
            with (folder / "index.html").open(
                mode, encoding="ascii", errors="xmlcharrefreplace"
            ) as sheet:
                sheet.write(FIGURE.format(**each, shown=escape(each["camera"])))
            sheets.add(folder)
        for number, (*row, jpeg) in enumerate(each["labels"]):
            name = f"{each['pass_id']}-{number}.jpg"
            _write(out / "labels" / "images" / name, jpeg)
            lines.append(label_line(name, *row))
        yield each
    if lines[1:]:
        (out / "labels" / "labels.csv").write_text("\n".join([*lines, ""]))


def _write(file: Path, jpeg: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b64decode(jpeg))
