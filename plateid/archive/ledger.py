"""The ledger of a run: what is planned, tried and done, in one SQLite file that survives kills."""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from plateid.archive.chunk_reader import ChunkResult
from plateid.archive.plan import Chunk
from plateid.archive.probe import Recording, identity
from plateid.errors import ArchiveError, ConfigError, errors_as

SCHEMA = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL; -- fsync at each commit
    CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT);
    CREATE TABLE IF NOT EXISTS recording (source BLOB PRIMARY KEY, probed TEXT);
    CREATE TABLE IF NOT EXISTS chunk (key TEXT PRIMARY KEY, state TEXT, attempts INT, result TEXT);
"""
NAME, LOCK = "ledger.sqlite3", "ledger.lock"
_RECORDING, _RESULT = TypeAdapter(Recording), TypeAdapter(ChunkResult)


class Ledger:
    """The file of one output folder, which one process has open."""

    def __init__(self, folder: Path, db: sqlite3.Connection) -> None:
        self._folder, self._db = folder, db
        db.executescript(SCHEMA)

    def use(self, settings: Mapping[str, Any], *, force: bool) -> None:
        """Compares the settings with the previous ones; with `force`, other ones start over.

        Raises ConfigError if they differ.
        """
        known = dict(self._db.execute("SELECT name, value FROM setting"))
        wanted = {name: json.dumps(value) for name, value in settings.items()}
        changed = [name for name in known if known[name] != wanted.get(name)]
        if changed and not force:
            change = f"{known[changed[0]]}, now it is {wanted.get(changed[0])}"
            reason = f"was read with {changed[0]} = {change}: give another --out, or --force"
            raise ConfigError(self._folder, reason)
        with self._db:
            for table in ("chunk", "recording", "setting") if changed else ():
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - one of three
            self._db.executemany("REPLACE INTO setting VALUES (?, ?)", wanted.items())

    def recording(self, source: str) -> Recording | None:
        """Returns what a probe found in a file."""
        query = "SELECT probed FROM recording WHERE source = ?"
        row = self._db.execute(query, (os.fsencode(identity(source)),)).fetchone()
        return replace(_RECORDING.validate_json(row[0]), source=source) if row else None

    def note_recordings(self, recordings: Iterable[Recording]) -> None:
        """Notes recordings; a path may have bytes that no JSON has."""
        with self._db:
            for each in recordings:
                row = (
                    os.fsencode(identity(each.source)),
                    _RECORDING.dump_json(replace(each, source="")),
                )
                self._db.execute("REPLACE INTO recording VALUES (?, ?)", row)

    def done(self) -> set[str]:
        """Returns the keys of all chunks that are done."""
        return {key for (key,) in self._db.execute("SELECT key FROM chunk WHERE state = 'done'")}

    def note_attempt(self, key: str) -> None:
        """Notes that a worker begins a chunk."""
        insert = "INSERT INTO chunk (key, state, attempts) VALUES (?, 'begun', 1)"
        again = "ON CONFLICT (key) DO UPDATE SET state = 'begun', attempts = attempts + 1"
        with self._db:
            self._db.execute(f"{insert} {again}", (key,))

    def note(self, key: str, result: ChunkResult) -> None:
        """Notes the result of a chunk; it is on the disk when this returns.

        The next run reads a chunk with damage again: the file may be readable then.
        """
        row = "failed" if result.damaged else "done", _RESULT.dump_json(result), key
        with self._db:
            self._db.execute("UPDATE chunk SET state = ?, result = ? WHERE key = ?", row)

    def result(self, chunk: Chunk) -> ChunkResult:
        """Returns the result of a chunk that was noted."""
        query = "SELECT result FROM chunk WHERE key = ?"
        return _RESULT.validate_json(self._db.execute(query, (chunk.key,)).fetchone()[0])


@contextmanager
def opened_ledger(folder: Path) -> Iterator[Ledger]:
    """Opens the ledger of an output folder for one process; raises ArchiveError if that fails."""
    with errors_as(ArchiveError, folder, OSError, sqlite3.Error):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK).open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ArchiveError(folder, "another run works in this folder") from None
            with closing(sqlite3.connect(folder / NAME)) as db:
                yield Ledger(folder, db)
