"""The ledger of a run: what is planned, tried and done, in one SQLite file that survives kills."""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from plateid.archive.chunk_reader import ChunkResult
from plateid.archive.plan import Chunk
from plateid.archive.probe import Recording
from plateid.errors import ArchiveError, ConfigError, errors_as

SCHEMA = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL; -- fsync at each commit
    CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT);
    CREATE TABLE IF NOT EXISTS recording (source BLOB PRIMARY KEY, stamp TEXT, probed TEXT);
    CREATE TABLE IF NOT EXISTS chunk
        (key TEXT PRIMARY KEY, state TEXT, attempts INT, figures TEXT, result TEXT);
"""
NAME, LOCK = "ledger.sqlite3", "ledger.lock"
FIGURES = ("frames", "wall_s")
"""Fields of a chunk's result that the output does not need."""


class Ledger:
    """The file of one output folder, which one process has open."""

    def __init__(self, folder: Path, db: sqlite3.Connection) -> None:
        self._folder, self._db = folder, db
        db.executescript(SCHEMA)

    def use(self, settings: Mapping[str, Any], *, force: bool) -> None:
        """Compares the settings with those of before; with `force`, other ones begin anew.

        Raises ConfigError if they differ.
        """
        known = dict(self._db.execute("SELECT name, value FROM setting"))
        wanted = {name: json.dumps(value) for name, value in settings.items()}
        for name in wanted.keys() & known.keys() if not force else ():
            if known[name] != wanted[name]:
                change = f"{name} = {known[name]}, now it is {wanted[name]}"
                reason = f"was read with {change}: give another --out, or --force to read it anew"
                raise ConfigError(self._folder, reason)
        if known != wanted:
            self._db.execute("DELETE FROM chunk")
        self._db.executemany("REPLACE INTO setting VALUES (?, ?)", wanted.items())

    def recording(self, source: str, stamp: str) -> Recording | None:
        """Returns what a probe found in a file that has not changed since."""
        query = "SELECT probed FROM recording WHERE source = ? AND stamp = ?"
        row = self._db.execute(query, (os.fsencode(source), stamp)).fetchone()
        return Recording.from_json(source, json.loads(row[0])) if row else None

    def note_recordings(self, probed: Iterable[tuple[str, Recording]]) -> None:
        """Notes recordings, each after its stamp."""
        rows = [(os.fsencode(r.source), stamp, json.dumps(r.to_json())) for stamp, r in probed]
        self._db.execute("BEGIN")
        self._db.executemany("REPLACE INTO recording VALUES (?, ?, ?)", rows)
        self._db.execute("COMMIT")

    def done(self) -> set[str]:
        """Returns the keys of all chunks that are done."""
        return {key for (key,) in self._db.execute("SELECT key FROM chunk WHERE state = 'done'")}

    def note_attempt(self, key: str) -> None:
        """Notes that a worker begins a chunk."""
        self._db.execute(
            "INSERT INTO chunk (key, state, attempts) VALUES (?, 'begun', 1)"
            " ON CONFLICT (key) DO UPDATE SET state = 'begun', attempts = attempts + 1",
            (key,),
        )

    def note(self, key: str, result: ChunkResult) -> None:
        """Notes the result of a chunk; it is on the disk when this returns.

        The next run reads a chunk with damage again: the file may be readable then.
        """
        values = asdict(result)
        figures = {name: values.pop(name) for name in FIGURES}
        state = "failed" if result.damaged else "done"
        columns = state, json.dumps(figures), json.dumps(values), key
        update = "UPDATE chunk SET state = ?, figures = ?, result = ? WHERE key = ?"
        self._db.execute(update, columns)

    def result(self, chunk: Chunk) -> ChunkResult:
        """Returns the result of a chunk that was noted."""
        query = "SELECT result FROM chunk WHERE key = ?"
        return ChunkResult(**json.loads(self._db.execute(query, (chunk.key,)).fetchone()[0]))


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
            with closing(sqlite3.connect(folder / NAME, isolation_level=None)) as db:
                yield Ledger(folder, db)
