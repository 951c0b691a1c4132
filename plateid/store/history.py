"""Reads the event store without ever writing to it, for the web UI and the command line."""

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from plateid.core.lists import FOLDED, distance
from plateid.errors import StoreError
from plateid.store.database import open_read_only
from plateid.store.event_store import LAST_SEEN

QUERY_S = 5.0
"""Time-out of a query, seconds."""
BUSY_S = 1.0
"""Longest wait for another process, seconds."""
PASSES = """
    SELECT listed.key, plate.plate,
        (SELECT max(first_seen) FROM event WHERE event.plate = plate.plate)
    FROM json_each(?) AS listed CROSS JOIN plate ON plate.folded = listed.value"""
"""Finds the last event of each plate that equals a listed one but for confusable characters."""
CORRECTIONS = """
    SELECT pass_id, verdict, text FROM event CROSS JOIN label USING (id)
    WHERE pass_id IN (SELECT value FROM json_each(?)) AND verdict <> 'skip'
    AND plate_form = 'plain' ORDER BY labelled_at"""
CORRECTED_TO = """
    SELECT pass_id FROM label CROSS JOIN event USING (id)
    WHERE verdict = 'plate' AND plate_form = 'plain' AND """
"""A cross join reads the left table first: the other order would read all events or labels."""
STEPS = 10_000
"""Number of SQLite instructions between two checks of the time-out."""


class SlowQueryError(StoreError):
    """A query took too long."""


@dataclass(frozen=True)
class Correction:
    """The newest label of a pass; only a `plate` has text, which may be the one that was read."""

    verdict: str
    text: str


class History:
    """Opens the store for each use, so that it finds the file that replaced a corrupt one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def opened(self, limit_s: float = QUERY_S) -> Iterator[sqlite3.Connection]:
        """Gives a read-only connection for one thread; raises StoreError, or SlowQueryError."""
        until = time.monotonic() + limit_s
        try:
            with closing(open_read_only(self.path, BUSY_S)) as db:
                db.set_progress_handler(lambda: time.monotonic() > until, STEPS)
                _attach_labels(db, self.path)
                yield db
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                raise SlowQueryError(self.path, f"no answer within {limit_s:g} s") from error
            raise StoreError(self.path, error) from error

    def last_seen(self, names: Mapping[str, str], max_distance: float) -> dict[str, str]:
        """Returns the time of the last pass of each plate of a list, given with the entry's name.

        It counts events that match an entry of this name, also of hashed plates, and all events
        with the same plate but for confusable characters, also of before the listing. Raises
        StoreError if the store cannot be read.
        """
        folded = json.dumps({plate: plate.translate(FOLDED) for plate in names})
        with self.opened() as db:
            by_name = dict(db.execute(LAST_SEEN).fetchall())
            passes = db.execute(PASSES, (folded,)).fetchall()
        seen = {plate: by_name[name] for plate, name in names.items() if name in by_name}
        for plate, read, last in passes:
            if distance(plate, read, at_most=max_distance) <= max_distance:
                seen[plate] = max(last, seen.get(plate, ""))
        return seen

    def corrections(self, pass_ids: Iterable[str]) -> dict[str, Correction]:
        """Returns what users said of passes, by `pass_id`; raises StoreError if it cannot."""
        with self.opened() as db:
            rows = db.execute(CORRECTIONS, (json.dumps(list(pass_ids)),))
            return {pass_id: Correction(verdict, text) for pass_id, verdict, text in rows}


def _attach_labels(db: sqlite3.Connection, store: Path) -> None:
    """Makes the labels of a store the read-only table `label`; raises sqlite3.Error if damaged."""
    file = store.with_name(f"{store.name}.labels")
    if os.access(file, os.R_OK) and file.stat().st_size:
        db.execute("ATTACH ? AS labels", (f"file:{quote(str(file))}?mode=ro",))
    else:
        db.execute("CREATE TEMP TABLE label (id, verdict, text, labelled_at)")


def passes_corrected_to(db: sqlite3.Connection, plate: str, *, fuzzy: bool) -> list[str]:
    """Returns the ids of passes corrected to a plate or pattern; `fuzzy` needs `is_near` in SQL."""
    match = "is_near(text, :plate)" if fuzzy else "text GLOB :plate"
    rows = db.execute(CORRECTED_TO + match, {"plate": plate})
    return [pass_id for (pass_id,) in rows]
