"""Self-labels: the reading of a pass labels the pass's small and blurred crops, for training."""

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from plateid.backoff import Backoff, Outage
from plateid.config.storage import PrivacyConfig
from plateid.core.drawing import encode_jpeg
from plateid.core.event_csv import csv_line
from plateid.core.records import PlateCrop, PlateEvent
from plateid.core.text import edit_distance
from plateid.errors import StoreError
from plateid.store.side_file import LabelFile

MIN_CONFIDENCE, MIN_AGREEING = 0.97, 2
"""Minimum confidence of the reading, and minimum number of reads that agree with it. On romanian,
also scaled to 0.6 and 0.4, none of 223 crops gets a wrong label."""
FAR = 0.75
"""Height, relative to the best crop, up to which a crop that was read correctly is kept."""
BLURRED = 0.1
"""Sharpness (0-1) below which such a crop is kept at any height."""
MAX_EDITS = 0.5
"""Maximum number of edits between a crop's own text and the reading, relative to its length. Beyond
it, the track may have changed to another vehicle. Two plates of romanian differ less in 0.5 %."""
QUALITY = 95
"""JPEG quality."""
MAX_WAITING = 500
"""Maximum number of crops in memory; beyond it, the oldest go."""
INSERT = "INSERT INTO self_label VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
TRIM = """
    DELETE FROM self_label WHERE number IN (
        SELECT number FROM (SELECT number, row_number() OVER newest AS place,
            sum(length(jpeg)) OVER newest AS bytes FROM self_label
            WINDOW newest AS (ORDER BY number DESC))
        WHERE place > ? OR bytes > ?)"""
"""Deletes the oldest crops beyond a number or a size."""
UNCONTRADICTED = """
    SELECT * FROM self_label WHERE NOT EXISTS (
        SELECT 1 FROM store.event AS own JOIN store.event AS corrected USING (pass_id)
        JOIN label ON label.id = corrected.id
        WHERE own.id = self_label.id AND verdict <> 'skip' AND label.text <> self_label.text)"""
"""Selects the self-labels of passes to which no person gave another text."""
COLUMNS = ("image", "x1", "y1", "x2", "y2", "text", "confidence", "sharpness")


class SelfLabels:
    """The self-labels of a store, which live no longer than their events."""

    def __init__(self, config: PrivacyConfig, store: Path) -> None:
        self._config = config
        self._file = LabelFile(store)
        self._waiting: deque[tuple[object, ...]] = deque(maxlen=MAX_WAITING)
        self._outage = Outage("self-labels", Backoff())

    def take(self, event: PlateEvent, crops: Sequence[PlateCrop]) -> None:
        """Labels the crops of a pass if its last event is sure; thread-safe, without the disk."""
        rule = self._config.listed if event.list is not None else self._config.unlisted
        if rule == "keep":
            self._waiting.extend((event.id, *row) for row in self_labels(event, crops))

    def check(self) -> None:
        """Writes waiting crops. Call it periodically from one thread, after events are stored."""
        if not self._waiting or self._outage.wait_s:
            return
        rows = list(self._waiting)
        with self._outage.noted(StoreError):
            with self._file.opened() as db:
                db.executemany(INSERT, rows)
                limits = self._config.self_labels_max, self._config.self_labels_mb * 1e6
                db.execute(TRIM, limits)
            for _ in rows:
                self._waiting.popleft()


def self_label_files(store: Path) -> Iterator[tuple[str, bytes]]:
    """Yields the names and contents of a data set of self-labels; raises StoreError.

    Those that a label of a person contradicts are left out.
    """
    lines = [csv_line(COLUMNS)]
    with LabelFile(store).opened() as db:
        for number, _, *row, jpeg in db.execute(UNCONTRADICTED):
            name = f"self-{number:06}.jpg"
            lines.append(label_line(name, *row))
            yield f"images/{name}", jpeg
    yield "labels.csv", "\n".join([*lines, ""]).encode()


def label_line(name: str, plate: str, *values: float) -> str:
    """Returns the line of a self-label in `labels.csv`; values as `self_labels` yields them."""
    confidence, *box, sharpness = (round(value, 3) for value in values)
    return csv_line([name, *box, plate, confidence, sharpness])


def self_labels(event: PlateEvent, crops: Sequence[PlateCrop]) -> Iterator[tuple[Any, ...]]:
    """Yields text, confidence, box (four values), sharpness and JPEG of each crop that teaches.

    Only the last event of a pass labels, and only if it is sure.
    """
    sure = event.confidence >= MIN_CONFIDENCE and event.agreeing_reads >= MIN_AGREEING
    if sure and event.region is not None:
        for crop in crops:
            if _teaches(crop, event):
                jpeg = encode_jpeg(crop.image, QUALITY)
                yield event.plate, event.confidence, *crop.box, crop.sharpness, jpeg


def _teaches(crop: PlateCrop, event: PlateEvent) -> bool:
    """Returns whether a crop shows the vehicle of an event, and is hard to read."""
    edits = edit_distance(crop.text, event.plate)
    best_px = event.box[3] - event.box[1]
    is_hard = edits > 0 or crop.height <= FAR * best_px or crop.sharpness < BLURRED
    return is_hard and edits <= MAX_EDITS * len(event.plate)
