"""The labelled pictures that an evaluation is made on."""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from plateid.core.records import Box
from plateid.core.text import normalise
from train.dataset.checks import checked_pictures
from train.dataset.pictures import Picture, read_pictures, split
from train.errors import TrainError

CORNERS = ("x1", "y1", "x2", "y2")
SAME = 0.5
"""Pixels by which boxes of one plate may differ in two files."""
OPEN_FROM = 10
"""In a folder of so many pictures that all have one plate, others may be there unlabelled."""


@dataclass(frozen=True)
class Source:
    """A folder of labelled pictures, or the part of it that is evaluated.

    Attributes:
        name: Unique among the sources of an evaluation.
        pictures: Not empty.
        texts: What was transcribed in each picture, and where.
        is_open: Every picture has one plate, and others may be there unlabelled.
    """

    name: str
    pictures: tuple[Picture, ...]
    texts: Mapping[Path, Sequence[tuple[Box, str]]]
    is_open: bool

    def texts_of(self, picture: Picture) -> tuple[str, ...]:
        """What its plates say; "" where nobody transcribed it."""
        known = [(_inside(box, picture), text) for box, text in self.texts.get(picture.path, ())]
        return tuple(
            next((text for box, text in known if _same(box, plate)), "") for plate in picture.boxes
        )


def _inside(box: Box, picture: Picture) -> Box:
    """Cut at the border, as the boxes of pictures are."""
    x1, y1, x2, y2 = box
    return max(x1, 0), max(y1, 0), min(x2, picture.width), min(y2, picture.height)


def _same(one: Box, other: Box) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= SAME


def read_source(folder: Path, name: str, *, held_out: bool) -> Source:
    """Reads the labels of a folder, or of its validation part.

    Raises:
        TrainError: The folder cannot be read, or there is nothing to evaluate.
    """
    whole = checked_pictures([folder])[0] if held_out else read_pictures(folder)
    pictures = split(whole)[1] if held_out else whole
    if not pictures:
        raise TrainError(f"{folder}: no picture{' is held out' * held_out}")
    one_each = all(len(picture.boxes) == 1 for picture in whole)
    return Source(name, tuple(pictures), _texts(folder), one_each and len(whole) >= OPEN_FROM)


def _texts(folder: Path) -> dict[Path, list[tuple[Box, str]]]:
    """What was transcribed, into `texts.csv` or else `labels.csv`.

    Raises:
        TrainError: A row has no picture, or its box is not four numbers.
    """
    texts: dict[Path, list[tuple[Box, str]]] = defaultdict(list)
    labels = next((folder / n for n in ("texts.csv", "labels.csv") if (folder / n).is_file()), None)
    if labels is None:
        return texts
    with labels.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file) if row.get("x1") and row.get("text")]
    for row in rows:
        try:
            x1, y1, x2, y2 = (float(row.get(key) or "") for key in CORNERS)
            texts[folder / "images" / (row.get("image") or "")].append(
                ((x1, y1, x2, y2), normalise(row["text"]))
            )
        except ValueError as error:
            raise TrainError(f"{labels}: {row.get('image')}: {error}") from error
    return texts
