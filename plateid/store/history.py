"""The event history as the page reads it: never written, and no question takes long."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from plateid.errors import StoreError

QUERY_S = 5.0
"""A question that takes longer is given up: the box has something else to do."""
BUSY_S = 1.0
STEPS = 10_000
"""Of SQLite's machine between two looks at the clock."""


class SlowQueryError(StoreError):
    """The question was given up."""


class History:
    """Opens the store anew for each use, so that one that was replaced is found."""

    def __init__(self, path: Path) -> None:
        """Opens nothing yet."""
        self.path = path

    @contextmanager
    def opened(self, limit_s: float = QUERY_S) -> Iterator[sqlite3.Connection]:
        """A connection that cannot write, for one thread.

        Raises:
            SlowQueryError: A query took longer than `limit_s`.
            StoreError: The store cannot be read.
        """
        until = time.monotonic() + limit_s
        try:
            uri = f"file:{quote(str(self.path))}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S)) as db:
                db.set_progress_handler(lambda: time.monotonic() > until, STEPS)
                yield db
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                raise SlowQueryError(self.path, f"no answer within {limit_s:g} s") from error
            raise StoreError(self.path, error) from error
