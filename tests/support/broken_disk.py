"""A full disk, a folder that root does not own, and event stores with damaged content."""

import os
import resource
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from plateid.store.event_store import EventStore
from tests.support.samples import append

NOT_ROOT = 65534


@contextmanager
def full_disk() -> Iterator[None]:
    """Keeps every file from growing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def not_as_root() -> Iterator[Path]:
    """Gives a folder, and lets the test run as its owner, since root may write everywhere."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if user == 0:
            os.chown(folder, NOT_ROOT, NOT_ROOT)
            os.seteuid(NOT_ROOT)
        try:
            yield folder
        finally:
            folder.chmod(0o700)
            os.seteuid(user)


def damaged(path: Path, what: str, *, outputs: Sequence[str] = ()) -> bytes:
    """Makes a store of 50 events and damages the header, a table, or an event.

    Returns what follows the header and the device, which opening the file writes to.
    """
    with closing(EventStore(path, outputs=outputs)) as store:
        append(store, *range(1, 51), event_type="plate_left")
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0"
        pages = dict(db.execute(query).fetchall())
        if what == "payload":
            db.execute("UPDATE event SET payload = '\x7f' WHERE position = 40")
        elif what == "text":
            db.execute("UPDATE event SET payload = CAST(x'7bff7d' AS TEXT) WHERE position = 40")
        db.commit()
    content = bytearray(path.read_bytes())
    if what in pages or what == "header":
        start = (pages.get(what, 1) - 1) * 4096
        content[start : start + 4096] = b"\xa5" * 4096
    path.write_bytes(content)
    return bytes(content[8192:])
