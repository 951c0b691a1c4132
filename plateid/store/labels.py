"""Labels that users gave to plates.

A label is deleted together with its event, or when the event's plate is redacted.
"""

import json
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from plateid.core.lists import ListEntry, Lists
from plateid.core.records import Box
from plateid.store.label_order import LabelTask, order_tasks
from plateid.store.side_file import LabelFile

Verdict = Literal["plate", "unreadable", "notplate", "skip"]
VERDICTS: tuple[Verdict, ...] = ("plate", "unreadable", "notplate", "skip")
UNLABELLED = """
    SELECT payload FROM
        (SELECT * FROM store.event ORDER BY first_seen DESC LIMIT ?) AS event
    WHERE plate_form = 'plain' AND plate <> '' AND json_valid(payload)
    AND payload ->> '$.snapshot.file' IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM store.event AS later
        WHERE later.pass_id = event.pass_id AND later.position > event.position)
    AND NOT EXISTS (SELECT 1 FROM label WHERE label.id = event.id)"""
"""Selects the newest events with a plate, a snapshot and no label."""
LABELLED = """
    SELECT id, verdict, text, x1, y1, x2, y2, payload FROM label
    JOIN store.event USING (id) ORDER BY id"""
MAX_EVENTS = 4000
"""Number of newest events among which the tasks are: two events per pass."""
MAX_DISTANCE = 1.0
"""Maximum distance of a plate that is nearly listed."""


@dataclass(frozen=True)
class Label:
    """A user's label of the box of an event, in pixels of its snapshot; only a `plate` has text."""

    id: str
    verdict: Verdict
    text: str
    box: Box


class Labels:
    """The labels of a store. May be used from any thread. Each method may raise StoreError."""

    def __init__(self, store: Path) -> None:
        self._file = LabelFile(store)

    def add(self, label: Label) -> None:
        """Stores a label, replacing an earlier one of the same event."""
        row = (label.id, label.verdict, label.text, *label.box, time.time())
        with self._file.opened() as db:
            db.execute("INSERT OR REPLACE INTO label VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def remove(self, id_: str) -> None:
        """Deletes the label of an event, if it has one."""
        with self._file.opened() as db:
            db.execute("DELETE FROM label WHERE id = ?", (id_,))

    def all(self) -> list[tuple[Label, dict[str, Any]]]:
        """Returns each label with its event, oldest first."""
        with self._file.opened() as db:
            return self._all(db)

    def _all(self, db: sqlite3.Connection) -> list[tuple[Label, dict[str, Any]]]:
        rows = db.execute(LABELLED).fetchall()
        return [
            (Label(id_, verdict, text, (x1, y1, x2, y2)), json.loads(payload))
            for id_, verdict, text, x1, y1, x2, y2, payload in rows
        ]

    def counts(self) -> dict[str, int]:
        """Returns the number of labels of each verdict."""
        with self._file.opened() as db:
            known = dict(db.execute("SELECT verdict, count(*) FROM label GROUP BY 1").fetchall())
        return {verdict: known.get(verdict, 0) for verdict in VERDICTS}

    def tasks(self, entries: Iterable[ListEntry]) -> list[LabelTask]:
        """Returns an event of each vehicle to label, the most useful first."""
        with self._file.opened() as db:
            rows = db.execute(UNLABELLED, (MAX_EVENTS,)).fetchall()
            labelled = [(label.text, event) for label, event in self._all(db)]
        events = (json.loads(payload) for (payload,) in rows)
        return order_tasks(events, labelled, Lists(tuple(entries), MAX_DISTANCE))
