"""Reads the event store without ever writing to it, for the web UI and the command line."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from plateid.errors import StoreError
from plateid.store.database import open_read_only
from plateid.store.event_store import LAST_SEEN

QUERY_S = 5.0
"""Time-out of a query, seconds."""
BUSY_S = 1.0
"""Longest wait for another process, seconds."""
STEPS = 10_000
"""Number of SQLite instructions between two checks of the time-out."""


class SlowQueryError(StoreError):
    """A query took too long."""


class History:
    """Opens the store for each use, so that it finds the file that replaced a corrupt one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def opened(self, limit_s: float = QUERY_S) -> Iterator[sqlite3.Connection]:
        """Gives a read-only connection for one thread.

        Raises SlowQueryError if a query took longer than `limit_s`. Raises StoreError if the store
        cannot be read.
        """
        until = time.monotonic() + limit_s
        try:
            with closing(open_read_only(self.path, BUSY_S)) as db:
                db.set_progress_handler(lambda: time.monotonic() > until, STEPS)
                yield db
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                raise SlowQueryError(self.path, f"no answer within {limit_s:g} s") from error
            raise StoreError(self.path, error) from error

    def last_seen(self) -> dict[str, str]:
        """Returns the time of the last event of each list entry, by entry name.

        Raises StoreError if the store cannot be read.
        """
        with self.opened() as db:
            return dict(db.execute(LAST_SEEN).fetchall())
