"""Finds plates in `events.parquet`, and imports it into an event store."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plateid.archive.output import NAME, SCHEMA
from plateid.core.lists import CONFUSABLE, compact
from plateid.errors import ArchiveError, errors_as
from plateid.store.database import parse_event
from plateid.store.event_store import EventStore


def search(
    out: Path, pattern: str, columns: Sequence[str] = SCHEMA.names[:-1], *, similar: bool
) -> Iterator[dict[str, Any]]:
    """Yields columns of the rows whose plate matches a pattern of `*` and `?`.

    With `similar`, also of those at one edit, or that differ in confusable characters. Raises
    ArchiveError if there is no output that can be read.
    """
    wanted = _expression(compact(pattern), similar=similar)
    with _opened(out) as file:
        for number in range(file.num_row_groups):
            plates = file.read_row_group(number, ["plate"])["plate"]
            found = pc.indices_nonzero(pc.match_substring_regex(plates, wanted))
            if len(found):
                rows = file.read_row_group(number, [*columns])
                yield from rows.take(found).to_pylist()


@contextmanager
def _opened(out: Path) -> Iterator[pq.ParquetFile]:
    errors = errors_as(ArchiveError, out / NAME, OSError, pa.ArrowInvalid)
    with errors, pq.ParquetFile(out / NAME) as file:
        yield file


def _expression(pattern: str, *, similar: bool) -> str:
    tokens = [{"*": ".*", "?": "."}.get(each, re.escape(each)) for each in pattern]
    variants = {"".join(tokens)}
    if similar:
        others = ["".join(sorted(b for a, b in CONFUSABLE if a == each)) for each in tokens]
        pairs = zip(tokens, others, strict=True)
        variants.add("".join(f"[{each}{other}]" if other else each for each, other in pairs))
        for place in range(len(tokens) + 1):
            before, after = tokens[:place], tokens[place:]
            for changed in ([".", *after[1:]], after[1:], [".", *after]):
                variants.add("".join([*before, *changed]))
    return f"^(?:{'|'.join(sorted(variants))})$"


def import_events(out: Path, store: EventStore) -> int:
    """Adds the events to the history of a store, without sending them; returns their number.

    An event that is there already stays as it is: its id follows from the recording.
    """
    count, outputs = 0, [name for (name,) in store.rows("SELECT name FROM output")]
    with _opened(out) as file:
        for batch in file.iter_batches(columns=["event"]):
            for text in batch["event"].to_pylist():
                store.append(parse_event(text), done=outputs)
                count += 1
    return count
