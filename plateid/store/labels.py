"""Labels that people gave to plates: which to look at first, and what was said.

They live in a file of their own beside the store, and no longer than what the event itself says:
once its plate is not kept any more, or it is gone, so is the label.
"""

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from plateid.core.lists import Entry, Lists
from plateid.core.records import Box
from plateid.errors import StoreError

Verdict = Literal["plate", "unreadable", "notplate", "skip"]
VERDICTS: tuple[Verdict, ...] = ("plate", "unreadable", "notplate", "skip")
LAYOUT = """
    CREATE TABLE IF NOT EXISTS label (
        id TEXT PRIMARY KEY,
        verdict TEXT NOT NULL,
        text TEXT NOT NULL,
        x1 REAL NOT NULL, y1 REAL NOT NULL, x2 REAL NOT NULL, y2 REAL NOT NULL,
        labelled_at REAL NOT NULL
    ) STRICT"""
LOOKED_AT = 2000
"""The newest passes, of which the most useful come first."""
NEAR_MISS = 1.0
BUSY_S = 2.0


@dataclass(frozen=True)
class Label:
    """What somebody said of the plate of an event.

    Attributes:
        id: Of the event.
        text: What the plate says; empty where the verdict is another than `plate`.
        box: In pixels of the event's picture.
    """

    id: str
    verdict: Verdict
    text: str
    box: Box


@dataclass(frozen=True)
class Task:
    """An event to look at, how useful that is, from 0 to 1, and why."""

    event: dict[str, Any]
    use: float
    why: str


class Labels:
    """The labels of a store. May be used from any thread."""

    def __init__(self, store: Path) -> None:
        """Opens nothing yet."""
        self.path = store.with_name(f"{store.name}.labels")
        self._store = store

    def add(self, label: Label) -> None:
        """Keeps a label, in the place of one before."""
        row = (label.id, label.verdict, label.text, *label.box, time.time())
        with self._opened() as db:
            db.execute("INSERT OR REPLACE INTO label VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def all(self) -> list[tuple[Label, dict[str, Any]]]:
        """Each with its event, oldest first; those whose plates are not kept go now."""
        with self._opened() as db:
            rows = db.execute(
                "SELECT id, verdict, text, x1, y1, x2, y2, payload FROM label"
                " JOIN store.event USING (id) ORDER BY id"
            ).fetchall()
        return [
            (Label(id_, verdict, text, (x1, y1, x2, y2)), json.loads(payload))
            for id_, verdict, text, x1, y1, x2, y2, payload in rows
        ]

    def counts(self) -> dict[str, int]:
        """How many there are of each verdict."""
        with self._opened() as db:
            known = dict(db.execute("SELECT verdict, count(*) FROM label GROUP BY 1").fetchall())
        return {verdict: known.get(verdict, 0) for verdict in VERDICTS}

    def tasks(self, entries: Iterable[Entry]) -> list[Task]:
        """What to label, the most useful first: only plates that are kept, and shown."""
        with self._opened() as db:
            rows = db.execute(
                "SELECT payload FROM (SELECT id, payload, pass_id, position FROM store.event"
                " ORDER BY first_seen DESC LIMIT ?) AS event WHERE json_valid(payload)"
                " AND payload ->> '$.snapshot.file' IS NOT NULL AND NOT EXISTS (SELECT 1"
                " FROM store.event AS later WHERE later.pass_id = event.pass_id"
                " AND later.position > event.position)"
                " AND NOT EXISTS (SELECT 1 FROM label WHERE label.id = event.id)",
                (2 * LOOKED_AT,),
            ).fetchall()
        listed = Lists(tuple(entries), NEAR_MISS)
        events = (json.loads(payload) for (payload,) in rows)
        tasks = [_task(event, listed) for event in events if _kept(event)]
        return sorted(tasks, key=lambda task: -task.use)

    def forget(self) -> None:
        """Deletes the labels of plates that are not kept any more, if there are labels at all."""
        if self.path.exists():
            with self._opened():
                pass

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """The labels, with the store beside them as `store`, which is not written.

        Raises:
            StoreError: One of them cannot be used.
        """
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            with closing(sqlite3.connect(f"file:{quote(str(self.path))}", uri=True)) as db, db:
                db.execute(f"PRAGMA busy_timeout = {1000 * BUSY_S:.0f}")
                db.execute("PRAGMA secure_delete = ON")
                db.execute(LAYOUT)
                db.commit()
                uri = f"file:{quote(str(self._store))}?mode=ro"
                db.execute("ATTACH ? AS store", (uri,))
                self._forget(db)
                yield db
        except sqlite3.Error as error:
            raise StoreError(self.path, error) from error
        except OSError as error:
            raise StoreError(self.path, error.strerror) from error

    def _forget(self, db: sqlite3.Connection) -> None:
        db.execute(
            "DELETE FROM label WHERE NOT EXISTS (SELECT 1 FROM store.event"
            " WHERE event.id = label.id AND json_valid(payload) AND plate <> ''"
            " AND json_array_length(payload, '$.char_confidences') = length(plate))"
        )


def _kept(event: dict[str, Any]) -> bool:
    return bool(event["plate"]) and len(event["char_confidences"]) == len(event["plate"])


def _task(event: dict[str, Any], listed: Lists) -> Task:
    agreeing = event["agreeing_reads"] / max(1, event["reads"])
    reasons = [
        (1 - event["confidence"], "low confidence"),
        (0.8 * (1 - agreeing), "frames disagree"),
        (0.5 if event["region"] is None else 0.0, "no country issues it"),
        (0.6 if event["list"] and event["list"]["distance"] else 0.0, "listed, but not exactly"),
        (0.7 if event["list"] is None and _near(event["plate"], listed) else 0.0, "nearly listed"),
    ]
    return Task(event, *max(reasons))


def _near(plate: str, listed: Lists) -> bool:
    return min((away for away, _ in listed.near(plate)), default=0) > 0
