"""The audit log, a file beside the store: who changed what, with the values before and after."""

import sqlite3
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from plateid.core.clock import CLOCK
from plateid.core.lists import compact
from plateid.core.records import rfc3339
from plateid.store.side_file import SideFile

Entry = dict[str, str]
COLUMNS = ("at", "user", "address", "change", "details", "before", "after")
LAYOUT = (
    f"CREATE TABLE IF NOT EXISTS entry ({', '.join(f'{each} TEXT' for each in COLUMNS)}) STRICT"
)
MAX_AGE_S = 365 * 86_400.0
"""Age at which an entry is deleted, seconds."""
MAX_CHARACTERS = 10_000_000
"""Maximum length of all entries; beyond it, the oldest go."""
MAX_LINES = 50
"""Maximum number of lines of a list that an entry holds; an import may change 100,000."""
INSERT = f"INSERT INTO entry VALUES ({', '.join(f':{each}' for each in COLUMNS)})"  # noqa: S608 - constants
TRIM = f"""
    DELETE FROM entry WHERE at < ? OR rowid IN (SELECT rowid FROM (SELECT rowid,
        sum({" + ".join(f"length({each})" for each in COLUMNS)})
        OVER (ORDER BY rowid DESC) AS total FROM entry) WHERE total > ?)"""  # noqa: S608 - constants
WRITING = threading.Lock()
"""Held while a thread of this process adds an entry: SQLite lets none wait in turn."""
FORGET = "UPDATE entry SET details = 'purged', before = 'purged', after = 'purged' WHERE rowid = ?"


class AuditLog:
    """The audit log of a store. Each method may raise StoreError."""

    def __init__(self, store: Path) -> None:
        self.file = SideFile(store, "audit", LAYOUT)

    def add(self, user: str, change: str, **values: str) -> None:
        """Appends an entry; `values` are those of the other columns."""
        entry = dict.fromkeys(COLUMNS, "") | values
        entry |= {"at": rfc3339(datetime.now(UTC)), "user": user, "change": change}
        with WRITING, self.file.opened() as db:
            db.execute(INSERT, entry)
            _trim(db)

    def find(self, text: str = "") -> list[Entry]:
        """Returns the entries that contain a text in any column, newest first."""
        if not self.file.path.exists():
            return []
        wanted = text.casefold()
        with self.file.opened() as db:
            rows = db.execute("SELECT * FROM entry ORDER BY rowid DESC").fetchall()
        found = (row for row in rows if wanted in " ".join(row).casefold())
        return [dict(zip(COLUMNS, row, strict=True)) for row in found]

    def trim(self) -> None:
        """Deletes entries that are too old or too large together."""
        if self.file.path.exists():
            with self.file.opened() as db:
                _trim(db)

    def forget(self, *plates: str) -> None:
        """Deletes what entries say of plates, which are given without gaps."""
        if self.file.path.exists():
            with self.file.opened() as db:
                rows = db.execute("SELECT rowid, * FROM entry").fetchall()
                for number, *values in rows:
                    if any(plate in compact(" ".join(values)) for plate in plates):
                        db.execute(FORGET, (number,))


def _trim(db: sqlite3.Connection) -> None:
    oldest = rfc3339(datetime.fromtimestamp(CLOCK.ago(MAX_AGE_S), UTC))
    db.execute(TRIM, (oldest, MAX_CHARACTERS))


def differing_lines(before: str, after: str) -> tuple[str, str]:
    """Returns the lines that only one of two texts has, at most `MAX_LINES` of each."""
    old, new = Counter(before.splitlines()), Counter(after.splitlines())
    return _first(old - new), _first(new - old)


def _first(lines: Counter[str]) -> str:
    shown = list(lines.elements())
    more = [f"and {len(shown) - MAX_LINES} more"] if len(shown) > MAX_LINES else []
    return "\n".join(shown[:MAX_LINES] + more)
