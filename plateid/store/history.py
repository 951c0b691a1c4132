"""Reads the event store without ever writing to it, for the web UI and the command line."""

import json
import os
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from plateid.core.lists import FOLDED, distance
from plateid.errors import StoreError
from plateid.store.database import open_read_only
from plateid.store.event_store import LAST_SEEN
from plateid.store.labels import Labels
from plateid.store.schema import UNSURE
from plateid.store.search import MAX_DISTANCE, Event, filters_of
from plateid.store.search_query import Query, QueryError
from plateid.store.snapshot_files import snapshot_file

QUERY_S = 5.0
"""Time-out of a query, seconds."""
BUSY_S = 1.0
"""Longest wait for another process, seconds."""
COUNT_S = 0.1
"""Time-out of a count, seconds: its page waits for it."""
FEW, FEW_EVENTS = 300, 1000
"""Plates, and their events, that are looked up by plate: for more, a scan is faster."""
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

    is_fleet = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.labels = Labels(path)

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

    def select(self, query: Query, limit: int, *, newer: bool = False) -> list[Event]:
        """Returns results after the cursor of the query, or those before it, the nearest first."""
        order = "ASC" if newer else "DESC"
        with self.opened() as db:
            where, values = _where(db, query, newer=newer)
            rows = db.execute(
                f"SELECT payload FROM event {_index(query)}"  # noqa: S608
                f" WHERE {where} AND json_valid(payload)"
                f" ORDER BY first_seen {order}, id {order} LIMIT :limit",
                values | {"limit": limit},
            )
            return [json.loads(payload) for (payload,) in rows]

    def count(self, query: Query, at_most: int) -> int:
        """Returns the number of results, up to `at_most`; SlowQueryError after `COUNT_S`."""
        with self.opened(COUNT_S) as db:
            where, values = _where(db, replace(query, after=""))
            rows = f"SELECT 1 FROM event {_index(query)} WHERE {where} LIMIT :limit"  # noqa: S608
            (number,) = db.execute(
                f"SELECT count(*) FROM ({rows})",  # noqa: S608 - as above
                values | {"limit": at_most},
            ).fetchone()
        return int(number)

    def find_pass(self, id_: str) -> list[Event]:
        """Returns all events of the pass of an event, oldest first; none if it is unknown."""
        query = (
            "SELECT payload FROM event WHERE pass_id ="
            " (SELECT pass_id FROM event WHERE id = ?) AND json_valid(payload) ORDER BY position"
        )
        with self.opened() as db:
            return [json.loads(payload) for (payload,) in db.execute(query, (id_,))]

    def with_images(self, events: Iterable[Event]) -> set[str]:
        """Returns the ids of events whose image is on disk."""
        return {event["id"] for event in events if snapshot_file(self.path, event)}

    def image(self, event: Event) -> bytes | None:
        """Returns the image of an event (JPEG); None if there is none."""
        try:
            return file.read_bytes() if (file := snapshot_file(self.path, event)) else None
        except OSError:
            return None

    def last_seen(self, names: Mapping[str, str], max_distance: float) -> dict[str, str]:
        """Returns the time of the last pass of each plate of a list, given with the entry's name.

        It counts events that match an entry of this name, also of hashed plates, and all events
        with the same plate but for confusable characters, also earlier than the entry. Raises
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


def _where(
    db: sqlite3.Connection, query: Query, *, newer: bool = False
) -> tuple[str, dict[str, Any]]:
    """Returns the SQL condition of a query and its values."""
    db.create_function("is_near", 2, _is_near, deterministic=True)
    conditions, values = _conditions(query, newer=newer)
    if query.plate:
        condition, plate_values = _plate_condition(db, query)
        if corrected := passes_corrected_to(db, query.plate, fuzzy=query.fuzzy):
            condition += " OR pass_id IN (SELECT value FROM json_each(:corrected))"
            values["corrected"] = json.dumps(corrected)
        conditions.insert(0, f"({condition})")
        values |= plate_values
    return " AND ".join(conditions), values


def _conditions(query: Query, *, newer: bool) -> tuple[list[str], dict[str, Any]]:
    """Returns the SQL conditions of a query but its plate, and their values."""
    if query.site or query.device:
        raise QueryError("site, device", "only a hub has them")
    conditions, values = filters_of(query, newer=newer)
    if query.max_confidence < UNSURE:
        conditions.append(f"confidence < {UNSURE}")  # selects the partial index
    conditions.append(
        "NOT EXISTS (SELECT 1 FROM event AS later"
        " WHERE later.pass_id = event.pass_id AND later.position > event.position)"
    )
    return conditions, values


def _index(query: Query) -> str:
    """Names the index if SQLite would choose a worse one."""
    unsure = query.max_confidence < UNSURE and not (query.plate or query.listed)
    return "INDEXED BY event_camera_unsure" if query.camera and unsure else ""


def _plate_condition(db: sqlite3.Connection, query: Query) -> tuple[str, dict[str, Any]]:
    """Returns the condition on the plate; a plus before a column keeps SQLite from its index."""
    text = query.plate
    if not query.fuzzy and not set(text) & set("*?"):
        return "plate = :plate", {"plate": text}
    select, values = _similar(text) if query.fuzzy else _matching(text)
    limit = -1 if query.fuzzy else FEW + 1  # similar plates are never many
    found = db.execute(f"SELECT DISTINCT plate {select} LIMIT {limit}", values | {"plate": text})
    plates = [plate for (plate,) in found]
    if query.fuzzy:
        plates.append(text)  # it may be a hash, which has no similar plates
    elif len(plates) > FEW:
        return "+plate GLOB :plate AND plate_form = 'plain'", {"plate": text}
    few = {"plates": json.dumps(plates)}
    among = "plate IN (SELECT value FROM json_each(:plates))"
    (events,) = db.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM event WHERE {among} LIMIT {FEW_EVENTS})",  # noqa: S608
        few,
    ).fetchone()
    return (among if events < FEW_EVENTS else f"+{among}"), few


def _similar(text: str) -> tuple[str, dict[str, str]]:
    """Finds similar plates by either half: one edit leaves one of them unchanged."""
    folded = text.translate(FOLDED)
    half = (len(folded) + 1) // 2
    return (
        "FROM (SELECT plate FROM plate WHERE folded >= :head AND folded < :head_end"
        " UNION SELECT plate FROM plate INDEXED BY plate_folded"
        " WHERE substr(folded, -length(:tail)) = :tail) WHERE is_near(plate, :plate)"
    ), _range(folded[:half]) | {"tail": folded[half:]}


def _matching(text: str) -> tuple[str, dict[str, str]]:
    """Finds plates that match a pattern among those with its beginning."""
    select = "FROM plate WHERE plate >= :head AND plate < :head_end AND plate GLOB :plate"
    return select, _range(re.split(r"[*?]", text)[0])


def _range(prefix: str) -> dict[str, str]:
    """Returns the bounds of all texts with a prefix."""
    return {"head": prefix, "head_end": f"{prefix}~"}


def _is_near(plate: str, wanted: str) -> bool:
    return distance(plate, wanted, at_most=MAX_DISTANCE) <= MAX_DISTANCE
