"""The SQLite file of the event store: opened, locked and checked; failures of its disk."""

import errno
import fcntl
import functools
import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from io import FileIO
from pathlib import Path
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from plateid.config.problems import problems_of
from plateid.core.records import PlateEvent
from plateid.errors import ConfigError, StoreError
from plateid.store.schema import APPLICATION_ID, LAYOUT, MQTT, STATEMENTS

BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
"""Error codes of other processes that write."""
OUTSIDE = (
    *BUSY,
    *(sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN),
    *(sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_NOMEM),
    *(sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT),
)
"""Error codes of the disk, its rights, and other processes."""
DISK = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    *(errno.EIO, errno.EUCLEAN, errno.ENODEV, errno.ENXIO),
    *(errno.ENOTCONN, errno.ESTALE, errno.ETIMEDOUT),
)
"""Error numbers of a disk that may work later."""
BUSY_S = 0.25
"""Longest wait for another process that writes, seconds. The caller retries later."""
PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON")
EVENT = TypeAdapter(PlateEvent)
"""Converts the JSON of a stored event."""
CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""Error codes of a damaged file."""
SQLITE = b"SQLite format 3\0"
"""The first bytes of an SQLite file."""
HEAD = 16 << 20
"""Number of bytes in which a damaged store must show what it is: its tables are at the start."""
TABLES = tuple(text.encode() for text in STATEMENTS if text.startswith("CREATE TABLE"))
"""Texts that only a store holds."""
CHECK_S = 2.0
"""Longest time of the check at the start, seconds: a large store is not read completely."""
CHECKS = "quick_check(1)", *(f"integrity_check({what})" for what in ("output", "delivery", "1"))
"""The checks, those of what the outputs need first; the last one is slow for a long history."""
STEPS = 1000
"""Number of SQLite instructions between two looks at the clock."""
MAX_LAYOUT = 10_000
"""Largest plausible `PRAGMA user_version`."""


class DiskError(StoreError):
    """The disk of the store is full, read-only, fails, or is away: it may work later."""


class BusyError(DiskError):
    """Another process writes to the store."""


class CorruptError(sqlite3.DatabaseError):
    """SQLite can read the file, but a row is not what plateid wrote."""


@contextmanager
def closed_on_error(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Gives a connection, and closes it if the block fails."""
    with ExitStack() as stack:
        stack.enter_context(closing(db))
        yield db
        stack.pop_all()


def open_database(
    path: Path,
    *,
    instance: str = "",
    outputs: Collection[str] | None = None,
    busy_s: float = BUSY_S,
    check: bool = False,
) -> sqlite3.Connection:
    """Opens the file, or creates it.

    Raises StoreError if the file has another layout, and sqlite3.Error if it cannot be used, or if
    `check` is true and it is damaged.

    `instance` is the identifier of the file that this one replaces, if any. The other arguments
    are those of `EventStore`.
    """
    db = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
    with closed_on_error(db):
        _check_header(path)
        for pragma in PRAGMAS:
            db.execute(f"PRAGMA {pragma}").fetchall()
        db.execute("BEGIN IMMEDIATE")
        try:
            _check_layout(db, path)
            if check:
                _check_content(db)
            db.execute(f"PRAGMA user_version = {LAYOUT}")  # fails if the file is read-only
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            if instance:
                db.execute("UPDATE device SET instance = ?", (instance,))
            if outputs is not None:
                _set_outputs(db, {MQTT, *outputs})
            db.execute("COMMIT")
        finally:
            db.rollback()
    return db


def open_read_only(path: Path, busy_s: float = BUSY_S) -> sqlite3.Connection:
    """Opens a file that cannot be written. Raises sqlite3.Error if it cannot be read."""
    try:
        return _opened_read_only(path, "mode=ro", busy_s)
    except sqlite3.OperationalError:
        with disk_errors(path):
            log = path.with_name(f"{path.name}-wal")
            if log.exists() and log.stat().st_size:  # it may hold events that the file does not
                raise
        return _opened_read_only(path, "mode=ro&immutable=1", busy_s)  # needs no other file


def _opened_read_only(path: Path, mode: str, busy_s: float) -> sqlite3.Connection:
    uri = f"file:{quote(str(path))}?{mode}"
    db = sqlite3.connect(uri, uri=True, timeout=busy_s, check_same_thread=False)
    with closed_on_error(db):
        db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return db


def is_damage(error: Exception, *, opening: bool = False) -> bool:
    """Returns whether an error means damage; when `opening`, all but `OUTSIDE` errors do."""
    if isinstance(error, CorruptError | UnicodeDecodeError) or "decode to UTF-8" in str(error):
        return True
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE)
    if opening and code != sqlite3.SQLITE_IOERR_SHORT_READ:  # the file is cut off
        return code & 0xFF not in OUTSIDE
    return code & 0xFF in CORRUPT or code == sqlite3.SQLITE_IOERR_SHORT_READ


def check_is_store(path: Path) -> None:
    """Raises ConfigError for a file that plateid did not make, or DiskError."""
    with path_errors(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        if not path.exists():
            return
        if not path.is_file():  # opening a FIFO would wait for ever
            raise ConfigError("store.path", f"{path} is not a regular file")
        with path.open("rb") as file:
            head = file.read(100)
            if head.startswith(SQLITE) or head[68:72] == APPLICATION_ID.to_bytes(4):
                return
            head += file.read(HEAD)
    # zeros are what a power cut may leave of a store
    if head.strip(b"\0") and not any(text in head for text in TABLES):
        raise ConfigError("store.path", f"{path} is not a plateid store")


def _check_header(path: Path) -> None:
    """Raises CorruptError for a damaged version number, which SQLite would call read-only."""
    with disk_errors(path), path.open("rb") as file:
        versions = file.read(20)[18:]
    if versions not in (b"", b"\1\1", b"\2\2"):
        raise CorruptError("the header is damaged")


def _check_content(db: sqlite3.Connection) -> None:
    """Raises sqlite3.Error if the file is damaged, as far as `CHECK_S` allows to find out."""
    until = time.monotonic() + CHECK_S
    db.set_progress_handler(lambda: time.monotonic() > until, STEPS)
    try:
        for check in CHECKS:
            ((result,),) = db.execute(f"PRAGMA {check}").fetchmany(1)
            if result != "ok":
                raise CorruptError(result)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
    finally:
        db.set_progress_handler(None, 0)


def _schema_of(db: sqlite3.Connection) -> set[tuple[str, ...]]:
    rows = db.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema")
    return {tuple(" ".join(str(text).split()) for text in row) for row in rows}


@functools.cache
def _schema() -> frozenset[tuple[str, ...]]:
    """Returns the schema of a new store."""
    with closing(sqlite3.connect(":memory:")) as db:
        for statement in STATEMENTS:
            db.execute(statement)
        return frozenset(_schema_of(db))


def _check_layout(db: sqlite3.Connection, path: Path) -> None:
    """Creates the tables in an empty file, and refuses every other layout."""
    layout, application = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id")
    )
    if layout == 0 and db.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
        for statement in STATEMENTS:
            db.execute(statement)
        _set_outputs(db, {MQTT})
        return
    schema = _schema_of(db)
    missing = _schema() - schema
    is_ours = application == APPLICATION_ID or missing != _schema()
    if missing and is_ours and (layout == LAYOUT or not 0 <= layout < MAX_LAYOUT):
        raise CorruptError("the schema is damaged")
    if missing:
        age = "a newer" if layout > LAYOUT else "an older"
        reason = f"made by {age} plateid (layout {layout}, not {LAYOUT}): move the file away"
        raise StoreError(path, reason)


def _set_outputs(db: sqlite3.Connection, names: set[str]) -> None:
    known = {name for (name,) in db.execute("SELECT name FROM output")}
    db.executemany("DELETE FROM output WHERE name = ?", [(name,) for name in known - names])
    db.executemany("INSERT INTO output VALUES (?)", [(name,) for name in names - known])


def parse_event(payload: str) -> PlateEvent:
    """Returns the event of a stored JSON document; CorruptError does not repeat its values."""
    try:
        return EVENT.validate_json(payload)
    except ValidationError as error:
        reason = "; ".join(problem.text for problem in problems_of(error))
        raise CorruptError(f"the store holds something else than events: {reason}") from error


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns an OSError into DiskError, or into StoreError if another disk would not help."""
    try:
        yield
    except OSError as error:
        kind = DiskError if error.errno in DISK else StoreError
        raise kind(path, error.strerror) from error


@contextmanager
def path_errors(path: Path) -> Iterator[None]:
    """The same, but raises ConfigError for a path that no disk can have."""
    with disk_errors(path):
        try:
            yield
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise ConfigError("store.path", f"{path}: {error.strerror}") from error


def store_error(path: Path, error: Exception) -> StoreError:
    """Returns the failure that an error of SQLite means."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    kind = BusyError if code in BUSY else DiskError if code in OUTSIDE else StoreError
    return kind(path, error)


def lock_store(store: Path) -> FileIO | None:
    """Lets only this process run the service on a store, until the file is closed.

    Two services would share one MQTT client id, and publish each event twice. Returns None if the
    disk takes no file. Raises StoreError if another process has the lock, and ConfigError if there
    can be no such folder.
    """
    try:
        with path_errors(store):
            store.parent.mkdir(parents=True, exist_ok=True)
            lock = _lock_file(store.with_name(f"{store.name}.lock"))
    except DiskError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise StoreError(store, "another plateid uses it") from error
    return lock


def _lock_file(file: Path) -> FileIO:
    try:
        return FileIO(file, "w")
    except OSError:
        if not file.is_file():
            raise
        return FileIO(file)  # of a read-only disk
