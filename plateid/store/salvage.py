"""Replaces a damaged store by a new one with all rows that can still be read."""

import itertools
import os
import re
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from plateid.store.database import CorruptError, open_database, parse_event
from plateid.store.schema import INSTANCE, MAX_SEQ
from plateid.store.sqlite_pages import TABLE_LEAF, Pages, Row

LIMIT_S = 5.0
"""Longest time of a salvage, seconds, so that the service starts within 10 s."""
SCAN_S = 2.5
"""The part of `LIMIT_S` in which the pages are read; the rest is for copying."""
KEEP = 3
"""Number of damaged stores that are kept."""
DATES = (1.6e9, 4.1e9)
"""Bounds of plausible times, Unix seconds: the years 2020 to 2099."""
BATCH = 200
"""Number of events per transaction, so that a full disk loses few of them."""
EVENT_COLUMNS = 13
"""Number of columns of the event table."""
INSERT_EVENT = f"INSERT OR IGNORE INTO event VALUES ({', '.join('?' * EVENT_COLUMNS)})"  # noqa: S608 - constant
INSERT_LIST_ENTRY = """
    INSERT INTO list_entry VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET position = max(position, excluded.position)"""
INSERT_DELIVERY = """
    INSERT OR IGNORE INTO delivery SELECT name, ?, ?, ? FROM output WHERE name = ?"""


@dataclass
class Found:
    """What the pages of a damaged store hold.

    `events` has the pages of each event by position: a damaged position may be that of another
    event. `unsent` has the deliveries by position and output: whether the output may have the
    event, and when it was queued. `small` are the rows of the small tables.
    """

    events: dict[int, tuple[int, ...]] = field(default_factory=dict)
    unsent: dict[tuple[int, str], tuple[int, float | None]] = field(default_factory=dict)
    device: Row | None = None
    outputs: set[str] = field(default_factory=set)
    small: list[tuple[str, Row]] = field(default_factory=list)

    def add(self, rowid: int, row: Row) -> bool:
        """Recognises a row by the types of its columns; returns False for any other row."""
        match row:
            case (
                str() as output,
                int() as position,
                (0 | 1) as sent,
                None | int() | float() as at,
            ):
                queued_at = float(at) if at is not None and DATES[0] < at < DATES[1] else None
                self.unsent[position, output] = (int(sent), queued_at)
            case (int() as position, str() as output):  # index: may have been sent
                self.unsent.setdefault((position, output), (1, None))
            case (str() as instance, int() as seq, str(), int()) if INSTANCE.fullmatch(instance):
                self.device = row if 0 <= seq < MAX_SEQ else self.device
            case (str() as output,) if rowid:
                self.outputs.add(output)
            case (str(), str() as text) if rowid:
                table = "stopped_pass" if re.match(r"\d{4}-\d\d-", text) else "component"
                self.small.append((table, row))
            case _:
                return False
        return True


def replace_damaged(
    path: Path, instance: str, outputs: Collection[str] | None
) -> dict[str, object]:
    """Replaces a damaged store, and returns what the log says about it.

    `instance` is the identifier of the store if it is known. Raises OSError or sqlite3.Error if the
    new file cannot be written; the next call tries again. A power cut between the steps loses
    nothing, since the finished file waits under a name of its own.
    """
    done: dict[str, object] = {}
    if not _finished(path).exists():
        unfinished = path.with_name(f"{path.name}.corrupt-unfinished")
        _unlink(unfinished)
        try:
            done = _copy(path, unfinished, instance, outputs)
            unfinished.replace(_finished(path))
        finally:
            _unlink(unfinished)
    aside = _set_aside(path)
    _finished(path).replace(path)
    return done | {"set_aside": str(aside)}


def is_interrupted(path: Path) -> bool:
    """Returns whether a power cut interrupted `replace_damaged`."""
    return _finished(path).exists()


def set_aside_files(store: Path) -> list[Path]:
    """Returns the files of damaged stores, oldest first. They may hold any plate."""
    start = f"{store.name}.corrupt-"
    return sorted(file for file in store.parent.iterdir() if file.name.startswith(start))


def _finished(path: Path) -> Path:
    return path.with_name(f"{path.name}.corrupt-replaced")


def _unlink(path: Path) -> None:
    for suffix in ("-wal", "-shm", ""):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)


def _set_aside(path: Path) -> Path:
    """Renames a store to a dated name, and deletes the oldest ones."""
    times = (datetime.fromtimestamp(at, UTC) for at in itertools.count(int(time.time())))
    places = (path.with_name(f"{path.name}.corrupt-{at:%Y%m%dT%H%M%SZ}") for at in times)
    aside = next(place for place in places if not place.exists())
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    for suffix in ("-wal", ""):
        with suppress(FileNotFoundError):
            path.with_name(f"{path.name}{suffix}").replace(aside.with_name(f"{aside.name}{suffix}"))
    dated = [file for file in set_aside_files(path) if file.name.endswith("Z") and file != aside]
    for file in dated[: -KEEP + 1]:
        _unlink(file)
    return aside


def _copy(
    path: Path, new: Path, instance: str, outputs: Collection[str] | None
) -> dict[str, object]:
    """Makes the new store, the unsent events first, then the history, each newest first."""
    until = time.monotonic() + LIMIT_S
    with path.open("rb") as file:
        pages = Pages(file, path.with_name(f"{path.name}-wal"))
        found = _scan(pages, time.monotonic() + SCAN_S)
        instance = instance or (str(found.device[0]) if found.device else "")
        names = found.outputs if outputs is None else outputs
        with closing(open_database(new, instance=instance, outputs=names)) as db:
            db.execute("PRAGMA synchronous = OFF")  # one fsync at the end
            if found.device:
                values = found.device[1:]
                db.execute(
                    "UPDATE device SET (last_seq, privacy_policy, old_policy_up_to) = (?, ?, ?)",
                    values,
                )
            else:  # another policy than any: it is applied to all events again
                db.execute("UPDATE device SET privacy_policy = '?'")
            for table, row in found.small:
                db.execute(f"INSERT OR IGNORE INTO {table} VALUES (?, ?)", row)  # noqa: S608 - ours
            copied = _copy_events(db, pages, found, until)
    with new.open("rb") as file:
        os.fsync(file)
    return copied


def _scan(pages: Pages, until: float) -> Found:
    found = Found()
    for number, page in pages.newest_first():
        for rowid, row in pages.rows(page, 100 if number == 1 else 0):
            if len(row) == EVENT_COLUMNS:  # the other rows of the page are events, too
                for position in pages.row_ids(page):
                    found.events[position] = (*found.events.get(position, ()), number)
                break
            if not found.add(rowid, row) and page[0] != TABLE_LEAF:  # another index
                break
        if time.monotonic() > until:
            break
    return found


def _copy_events(
    db: sqlite3.Connection, pages: Pages, found: Found, until: float
) -> dict[str, object]:
    """Copies as many events as time and disk allow."""
    deliveries: dict[int, list[tuple[str, int, float | None]]] = {}
    for (position, output), (sent, at) in found.unsent.items():
        deliveries.setdefault(position, []).append((output, sent, at))
    unsent = sorted(found.events.keys() & deliveries.keys(), reverse=True)
    rest = sorted(found.events.keys() - deliveries.keys(), reverse=True)
    positions, copied = [*unsent, *rest], 0
    for start in range(0, len(positions), BATCH):
        batch = positions[start : start + BATCH]
        try:
            db.execute("BEGIN IMMEDIATE")
            for position in batch:
                for row in _events(pages, found.events[position], position):
                    copied += _insert(db, row, deliveries.get(position, ()))
            db.execute("COMMIT")
        except sqlite3.OperationalError:  # the disk is full: the batches before stay
            db.rollback()
            break
        if time.monotonic() > until:
            break
    return {"events": copied, "left": max(0, len(positions) - copied)}


def _events(pages: Pages, numbers: Iterable[int], position: int) -> Iterator[Row]:
    """Gives the events of a position, those without damage: columns and JSON are the same."""
    for rowid, row in (row for number in set(numbers) for row in pages.rows(pages[number])):
        if rowid == position and len(row) == EVENT_COLUMNS:
            with suppress(CorruptError):
                event = parse_event(str(row[12]))
                same = (event.id, event.pass_id, event.event_type, event.camera, event.plate)
                if same == row[1:6]:
                    yield (position, *row[1:])


def _insert(
    db: sqlite3.Connection, row: Row, deliveries: Iterable[tuple[str, int, object]]
) -> bool:
    """Adds an event, perhaps at a new position, with deliveries; returns whether it is valid."""
    event = parse_event(str(row[12]))
    if event.seq >= MAX_SEQ:
        return False
    try:
        added = db.execute(INSERT_EVENT, row)
        if not added.rowcount:
            added = db.execute(INSERT_EVENT, (None, *row[1:]))
    except sqlite3.IntegrityError:  # a column of another type
        return False
    if not added.rowcount:
        return False
    position = added.lastrowid
    if event.list and event.list.name:
        db.execute(INSERT_LIST_ENTRY, (event.list.name, position))
    for output, sent, at in deliveries:
        db.execute(INSERT_DELIVERY, (position, sent, at, output))
    db.execute("UPDATE device SET last_seq = max(last_seq, ?)", (event.seq,))
    return True
