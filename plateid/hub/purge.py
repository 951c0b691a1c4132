"""Deletes a plate from the database, its images and every device, and proves it; retention."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import sql

from plateid.core.lists import compact
from plateid.core.text import CHARSET
from plateid.hub.database import MONTHS_AHEAD

GAP = r"[ .·-]*"
"""Pattern of what people write between the characters of a plate."""
PURGE = "SELECT * FROM purge_plate(%s, %s)"
TRACES = "SELECT count(*) FROM traces(%s, %s)"
WAITING = "SELECT name FROM waiting WHERE purge = %s ORDER BY 1"
OLD_IMAGES = """
    DELETE FROM snapshot WHERE sha256 IN
        (SELECT sha256 FROM snapshot WHERE stored_at < %s ORDER BY stored_at LIMIT 1000)"""
OLD_LISTS = """
    DELETE FROM list_version
    WHERE stored_at < %s AND version < (SELECT max(version) FROM list_version)"""
OLD_LABELS = """
    DELETE FROM label
    WHERE offered_at < %s AND NOT EXISTS (SELECT FROM event WHERE event.id = label.id)"""
OLD_ARCHIVES = """
    WITH old AS (
        UPDATE rollout SET archive = '' WHERE length(archive) > 0 AND state <> 'running' AND NOT
            EXISTS (SELECT FROM rollout_device WHERE rollout = id AND state_at > now() - %s)
        RETURNING id)
    UPDATE rollout_device SET wanted = NULL FROM old
    WHERE rollout = id AND wanted = 'install' AND state IN ('waiting', 'downloading')"""
ARCHIVE_AGE = timedelta(days=30)
"""Time after the last report of a device for which the archive of an ended rollout is kept."""
OLD_MONTHS = """
    SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid
    WHERE inhparent = 'event'::regclass AND relkind = 'r' AND %s > (to_date(
        relname, '"event_"YYYY_MM') + interval '1 month') AT TIME ZONE 'UTC'"""
FINISH = "DELETE FROM purge WHERE id NOT IN (SELECT purge FROM waiting)"
"""Forgets the plates whose purge all devices have confirmed."""


@dataclass(frozen=True)
class FleetPurge:
    """A purge: its number, deleted events, and devices that the hub cannot reach."""

    id: int
    events: int
    unmanaged: tuple[str, ...]


def purge_plate(db: psycopg.Connection, text: str) -> FleetPurge:
    """Deletes a plate from the database, and asks all enrolled devices; ValueError: no plate."""
    number, events = db.execute(PURGE, _pattern(text)).fetchone() or (0, 0)
    db.execute("VACUUM event, snapshot, label, list_version, quarantine")
    rows = db.execute("SELECT name FROM device WHERE token_sha256 IS NULL ORDER BY 1")
    return FleetPurge(number, events, tuple(name for (name,) in rows))


def _pattern(text: str) -> tuple[str, str]:
    """Returns a plate, and a pattern of how people write it; raises ValueError if it is none."""
    plate = compact(text)
    if not plate or not set(plate) <= set(CHARSET):
        raise ValueError("needs a plate of A to Z and 0 to 9")
    return plate, f"{GAP}{GAP.join(plate)}{GAP}"


def traces(db: psycopg.Connection, text: str) -> int:
    """Returns the number of events that have a plate among their texts; ValueError: no plate."""
    row = db.execute(TRACES, _pattern(text)).fetchone()
    return int(row[0]) if row else 0


def waiting(db: psycopg.Connection, number: int) -> list[str]:
    """Returns the devices that have not confirmed a purge."""
    return [name for (name,) in db.execute(WAITING, (number,))]


def drop_old(db: psycopg.Connection, days: int) -> Iterator[None]:
    """Deletes months of events, images, and versions of the list that are older than some days.

    Also deletes the archives of rollouts that have ended, and makes the partitions of the next
    months. Yields after each thousand images.
    """
    db.execute(MONTHS_AHEAD)
    db.execute(OLD_ARCHIVES, (ARCHIVE_AGE,))
    oldest = datetime.now(UTC) - timedelta(days=days)
    while db.execute(OLD_IMAGES, (oldest,)).rowcount:
        yield
    db.execute(OLD_LISTS, (oldest,))
    for (name,) in db.execute(OLD_MONTHS, (oldest,)).fetchall():
        db.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
        yield
    db.execute(OLD_LABELS, (oldest,))
