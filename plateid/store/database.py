"""The tables of the event store, and how an older file is brought up to date."""

import functools
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

from plateid.core.text import CONFUSABLE_PAIRS
from plateid.errors import StoreError

BUSY_S = 0.25
"""How long another process may hold the file; whoever calls tries again later."""
FOLDED = functools.reduce(
    lambda sql, pair: f"replace({sql}, '{pair[0]}', '{pair[1]}')", CONFUSABLE_PAIRS, "plate"
)
MAX_PLATE = 24
"""Characters; what is longer is a hash."""
MIRRORED = " || ".join(f"substr(folded, -{back}, 1)" for back in range(1, 13))
PARTS = (
    "SELECT substr(folded, column1, 4), plate FROM plate"  # noqa: S608 - constants
    f" JOIN (VALUES {', '.join(f'({place})' for place in range(1, MAX_PLATE + 1))})"
    f" ON column1 <= length(plate) AND length(plate) <= {MAX_PLATE}"
)
STEPS = (
    """CREATE TABLE event (
        position INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        pass_id TEXT NOT NULL,
        event_type TEXT NOT NULL,
        camera TEXT NOT NULL,
        plate TEXT NOT NULL,
        confidence REAL NOT NULL,
        first_seen TEXT NOT NULL,
        payload TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX event_plate ON event (plate)",
    "CREATE INDEX event_first_seen ON event (first_seen)",
    """CREATE TABLE outbox (
        position INTEGER PRIMARY KEY REFERENCES event (position),
        sent INTEGER NOT NULL DEFAULT 0
    ) STRICT""",
    "CREATE TABLE box (instance TEXT NOT NULL, last_seq INTEGER NOT NULL) STRICT",
    "INSERT INTO box VALUES (lower(hex(randomblob(4))), 0)",
    "ALTER TABLE outbox ADD COLUMN queued_at REAL",
    "UPDATE outbox SET queued_at = unixepoch()",
    "CREATE INDEX outbox_queued_at ON outbox (queued_at)",
    "CREATE TABLE announced (component TEXT PRIMARY KEY, platform TEXT NOT NULL) STRICT",
    """CREATE TABLE listed (
        name TEXT PRIMARY KEY,
        position INTEGER NOT NULL UNIQUE REFERENCES event (position) ON DELETE CASCADE
    ) STRICT""",
    "CREATE TABLE IF NOT EXISTS sink (name TEXT PRIMARY KEY) STRICT",
    """CREATE TABLE IF NOT EXISTS sink_outbox (
        sink TEXT NOT NULL REFERENCES sink (name) ON DELETE CASCADE,
        position INTEGER NOT NULL REFERENCES event (position) ON DELETE CASCADE,
        sent INTEGER NOT NULL DEFAULT 0,
        queued_at REAL,
        PRIMARY KEY (sink, position)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS sink_outbox_position ON sink_outbox (position)",
    # part of the transaction that stores an event: it waits for all sinks or for none
    """CREATE TRIGGER IF NOT EXISTS event_to_sinks AFTER INSERT ON outbox BEGIN
        INSERT INTO sink_outbox (sink, position, queued_at)
        SELECT name, NEW.position, NEW.queued_at FROM sink;
    END""",
    # events that neither the broker nor another sink waits for
    """CREATE VIEW settled AS SELECT position FROM event
        WHERE NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.position = event.position)
        AND NOT EXISTS (SELECT 1 FROM sink_outbox WHERE sink_outbox.position = event.position)""",
    "ALTER TABLE event ADD COLUMN treated INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX event_untreated ON event (position) WHERE NOT treated",
    "ALTER TABLE box ADD COLUMN privacy TEXT NOT NULL DEFAULT ''",
    # what the web page searches by: newest first, filters answered from the index alone
    "CREATE INDEX event_pass ON event (pass_id)",
    "DROP INDEX event_plate",
    "CREATE INDEX event_plate ON event (plate, first_seen)",
    "DROP INDEX event_first_seen",
    "CREATE INDEX event_first_seen ON event (first_seen, plate)",
    "CREATE INDEX event_camera ON event (camera, first_seen, plate)",
    "CREATE INDEX event_unsure ON event (first_seen, confidence) WHERE confidence < 0.8",
    """CREATE INDEX event_camera_unsure ON event (camera, first_seen, confidence)
        WHERE confidence < 0.8""",
    """ALTER TABLE event ADD COLUMN list_kind TEXT
        AS (CASE WHEN json_valid(payload) THEN payload ->> '$.list.kind' END) VIRTUAL""",
    "CREATE INDEX event_list ON event (list_kind, first_seen) WHERE list_kind IS NOT NULL",
    # each plate once; look-alikes become one (core.lists.FOLDED), and mirrored is its end reversed
    f"""CREATE TABLE plate (
        plate TEXT PRIMARY KEY,
        folded TEXT NOT NULL AS ({FOLDED}) VIRTUAL,
        mirrored TEXT NOT NULL AS ({MIRRORED}) VIRTUAL
    ) STRICT, WITHOUT ROWID""",
    "INSERT INTO plate SELECT DISTINCT plate FROM event",
    "CREATE INDEX plate_folded ON plate (folded)",
    "CREATE INDEX plate_mirrored ON plate (mirrored)",
    """CREATE TRIGGER plate_added AFTER INSERT ON event BEGIN
        INSERT OR IGNORE INTO plate VALUES (NEW.plate);
    END""",
    """CREATE TRIGGER plate_changed AFTER UPDATE OF plate ON event BEGIN
        INSERT OR IGNORE INTO plate VALUES (NEW.plate);
        DELETE FROM plate WHERE plate = OLD.plate
        AND NOT EXISTS (SELECT 1 FROM event WHERE plate = OLD.plate);
    END""",
    """CREATE TRIGGER plate_removed AFTER DELETE ON event BEGIN
        DELETE FROM plate WHERE plate = OLD.plate
        AND NOT EXISTS (SELECT 1 FROM event WHERE plate = OLD.plate);
    END""",
    # what a plate has anywhere in it, by the few characters that begin at each place; no hashes
    """CREATE TABLE part (
        part TEXT NOT NULL,
        plate TEXT NOT NULL,
        PRIMARY KEY (part, plate)
    ) STRICT, WITHOUT ROWID""",
    f"INSERT OR IGNORE INTO part {PARTS}",
    f"""CREATE TRIGGER part_added AFTER INSERT ON plate BEGIN
        INSERT OR IGNORE INTO part {PARTS} WHERE plate = NEW.plate;
    END""",
    f"""CREATE TRIGGER part_removed BEFORE DELETE ON plate BEGIN
        DELETE FROM part WHERE (part, plate) IN ({PARTS} WHERE plate = OLD.plate);
    END""",  # noqa: S608 - as above
    "DROP INDEX plate_mirrored",
    "ALTER TABLE plate DROP COLUMN mirrored",
    "DROP INDEX event_first_seen",
    "CREATE INDEX event_first_seen ON event (first_seen, plate, confidence)",
    "DROP INDEX event_camera",
    "CREATE INDEX event_camera ON event (camera, first_seen, plate, confidence)",
    # events up to here were treated by the policy before, newest first they are treated anew
    "ALTER TABLE box ADD COLUMN treated_before INTEGER NOT NULL DEFAULT 0",
    # the least layout whose plateid can use the file: an update may be taken back
    "ALTER TABLE box ADD COLUMN usable_from INTEGER NOT NULL DEFAULT 0",
    """CREATE INDEX event_synced ON event (position)
        WHERE instr(payload, '"clock_synced":false') = 0""",
    # passes that the last stop has ended, or still waited for, and that had been told
    "CREATE TABLE standing (pass_id TEXT PRIMARY KEY, stopped TEXT NOT NULL) STRICT",
)
"""Steps of the layout; `PRAGMA user_version` counts those that a file has gone through."""
USABLE_FROM = 48
"""The first layout of which plateid can use what this one writes. A step that only adds, such as a
column with a default or an index, leaves it as it is."""
PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON")
CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class CorruptError(sqlite3.DatabaseError):
    """The file is one of SQLite, but what it holds is not ours."""


def open_database(path: Path, *, instance: str = "", busy_s: float = BUSY_S) -> sqlite3.Connection:
    """Opens or creates the file, and brings an older layout up to date.

    Args:
        path: The file.
        instance: Whose it is, if it has to be that of one before.
        busy_s: How long to wait for another process.

    Raises:
        StoreError: A newer plateid made it.
        sqlite3.Error: It cannot be used.
    """
    with ExitStack() as stack:
        db = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
        stack.enter_context(closing(db))
        for pragma in PRAGMAS:
            db.execute(f"PRAGMA {pragma}").fetchall()
        _update(db, path, instance)
        stack.pop_all()
        return db


def is_corrupt(error: sqlite3.Error) -> bool:
    """Whether the file holds something else than SQLite wrote."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest of the code is the detail
    return code in CORRUPT or isinstance(error, CorruptError) or "decode to UTF-8" in str(error)


def set_aside(path: Path) -> Path:
    """Gives a file another name, in the place of one that was set aside before; what it is now."""
    aside = path.with_name(f"{path.name}.corrupt")
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    for ending in ("-wal", ""):
        file = path.with_name(f"{path.name}{ending}")
        if file.exists():
            file.replace(path.with_name(f"{aside.name}{ending}"))
    return aside


def _update(db: sqlite3.Connection, path: Path, instance: str) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        for step in STEPS[version:]:
            db.execute(step)
        (usable_from,) = db.execute("SELECT usable_from FROM box").fetchone()
        if usable_from > len(STEPS):
            reason = f"made by a newer plateid (layout {version}, known {len(STEPS)})"
            raise StoreError(path, reason)
        db.execute("UPDATE box SET usable_from = max(usable_from, ?)", (USABLE_FROM,))
        db.execute(f"PRAGMA user_version = {max(version, len(STEPS))}")
        if instance:
            db.execute("UPDATE box SET instance = ?", (instance,))
        db.execute("COMMIT")
    finally:
        db.rollback()
