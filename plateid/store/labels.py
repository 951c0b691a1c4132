"""Labels of users, which go with their event or its plate, and which vehicles to label next."""

import json
import math
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from plateid.core.lists import FOLDED, ListEntry, Lists
from plateid.core.records import Box, Image
from plateid.store.side_file import LabelFile
from plateid.store.snapshot_files import legible_image
from plateid.store.unpublished import HOUR

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
FIRST_TRAINING = 100
"""Labelled plates of a first training. With 20, a new country gains half as much."""
NEW_FORMAT = 0.4
"""Usefulness (0-1) of the first label of a format, however sure the reading is."""
MAX_LOST = 2
"""Number of misread characters with which two plates within an hour count as one vehicle."""


@dataclass(frozen=True)
class LabelTask:
    """An event to label, how useful its label is (0-1), and why."""

    event: dict[str, Any]
    usefulness: float
    why: str


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
        self._file, self._store = LabelFile(store), store

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

    def images(self) -> Iterator[tuple[Label, Image | None]]:
        """Yields each label with its snapshot; None if that is gone, or its plate is blurred."""
        return ((label, legible_image(self._store, event)) for label, event in self.all())

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
        return order_tasks(events, labelled, entries)


def order_tasks(
    events: Iterable[dict[str, Any]],
    labelled: Sequence[tuple[str, dict[str, Any]]],
    entries: Iterable[ListEntry],
) -> list[LabelTask]:
    """Returns the tasks of unlabelled vehicles; `labelled` are texts of labels with their events.

    Reads of one plate that differ in a character, in two within an hour at a camera, and the
    same box of identical images count as one vehicle.
    """
    formats = Counter(_format(text) for text, _ in labelled if text)
    known = {key for text, event in labelled for key in _vehicle(event, text)}
    lists = Lists(tuple(entries), MAX_DISTANCE)
    tasks = [_task(event, lists, formats) for event in events]
    kept = []
    for task in sorted(tasks, key=lambda task: -task.usefulness):
        keys = set(_vehicle(task.event))
        if keys.isdisjoint(known):
            kept.append(task)
            known |= keys
    return kept


def _vehicle(event: dict[str, Any], text: str = "") -> Iterator[str]:
    """Yields keys of which two events of one vehicle, an edit apart, share at least one."""
    image = (event["snapshot"] or {}).get("sha256", event["id"])
    yield f"{image} {event['box']}"
    for plate in {event["plate"], text} - {""}:
        folded = plate.translate(FOLDED)
        for lost in range(1 + min(MAX_LOST, (len(folded) - 1) // 3)):
            place = f"{event['first_seen'][:HOUR]} {event['camera']} " if lost == MAX_LOST else ""
            for left in combinations(folded, len(folded) - lost):
                yield place + "".join(left)


def _format(text: str) -> str:
    """Returns the letters and digits of a plate as A and 0."""
    return "".join("0" if character.isdigit() else "A" for character in text)


def _task(event: dict[str, Any], lists: Lists, formats: Counter[str]) -> LabelTask:
    agreeing = event["agreeing_reads"] / max(1, event["reads"])
    nearest = min((apart for apart, _ in lists.near(event["plate"])), default=0.0)
    labels = formats[_format(event["plate"])]
    reasons = [
        (1 - event["confidence"], "low confidence"),
        (0.8 * (1 - agreeing), "frames disagree"),
        (0.5 if event["region"] is None else 0.0, "no country issues it"),
        (0.6 if event["list"] and event["list"]["distance"] else 0.0, "listed, but not exactly"),
        (0.7 if event["list"] is None and nearest > 0 else 0.0, "nearly listed"),
        (NEW_FORMAT if formats and not labels else 0.0, "first label of this format"),
    ]
    usefulness, why = max(reasons)
    return LabelTask(event, usefulness * (1 + 1 / math.sqrt(1 + labels)) / 2, why)
