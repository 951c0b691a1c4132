"""Finds plates in `events.parquet`."""

from collections.abc import Iterator, Sequence
from glob import escape
from pathlib import Path
from typing import Any

import duckdb

from plateid.archive.output import NAME, SCHEMA
from plateid.core.lists import compact
from plateid.core.plate_pattern import plate_expression
from plateid.errors import ArchiveError, errors_as


def search(
    out: Path, pattern: str, columns: Sequence[str] = SCHEMA.names[:-1], *, similar: bool
) -> Iterator[dict[str, Any]]:
    """Yields columns of the rows whose plate matches a pattern of `*` and `?`, in their order.

    With `similar`, also of those at one edit, or that differ in confusable characters. Raises
    ArchiveError if there is no output that can be read.
    """
    wanted = compact(pattern)
    if similar or {*wanted} & {"*", "?"}:
        expression = plate_expression(wanted, similar=similar)
        return _rows(out, columns, "WHERE regexp_matches(plate, ?)", expression)
    return _rows(out, columns, "WHERE plate = ?", wanted)  # uses the Bloom filters


def events(out: Path) -> Iterator[str]:
    """Yields all events as JSON; raises ArchiveError as `search`."""
    return (row["event"] for row in _rows(out, ["event"]))


def _rows(out: Path, columns: Sequence[str], where: str = "", *values: str) -> Iterator[Any]:
    query = f"SELECT {', '.join(columns)} FROM read_parquet(?) {where}"  # noqa: S608 - own names
    parameters = [escape(str(out / NAME)), *values]
    with errors_as(ArchiveError, out / NAME, OSError, duckdb.Error), duckdb.connect() as db:
        for batch in db.sql(query, params=parameters).to_arrow_reader(1000):  # rows in memory
            yield from batch.to_pylist()
