"""Compares readers on the same plates: accuracy, time, and what they read differently."""

import csv
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from plateid.alpr import ALPR
from plateid.capture.images import find_sources, is_image, read_image
from plateid.capture.video_file import read_video
from plateid.core.reading import Reading, single_reading
from plateid.core.records import Box, Image, LazyImage
from plateid.core.text import fold
from plateid.demo import DEMO_VIDEO
from plateid.errors import SourceError, os_errors_as, reason_of

EVERY = 10
"""Frames of the demo video from one that is read to the next."""
TABLES = ("texts.csv", "labels.csv")
"""Tables of labels: the first one has the texts of the boxes of the second one."""
CORNERS = ("x1", "y1", "x2", "y2")
LabelledPlate = tuple[LazyImage, Box, str]
"""An image, the box of a plate in it, and its text, which is empty if it is unknown."""


@dataclass(frozen=True, eq=False)
class ComparedPlate:
    """A plate, its true text, and the readings and the milliseconds of each reader, in order."""

    image: Image
    text: str
    readings: Sequence[Reading]
    times_ms: Sequence[float]


def plates_of(folder: Path | None, alpr: ALPR) -> Iterator[LabelledPlate]:
    """Yields the plates of a folder, by default of the demo video; raises SourceError.

    `labels.csv` has the columns image and text, and x1, y1, x2, y2 (pixels) unless the images are
    cropped plates. Without it, the plates are those that the detector finds.
    """
    if folder is None:
        vehicles = json.loads(DEMO_VIDEO.with_suffix(".json").read_text())["vehicles"]
        for frame in islice(read_video(DEMO_VIDEO), 0, None, EVERY):
            for vehicle in vehicles:
                at = frame.sequence - 1 - vehicle["first_frame"]
                if 0 <= at < len(vehicle["boxes"]):
                    yield frame.image, vehicle["boxes"][at], vehicle["plate"]
    elif tables := [file for name in TABLES if (file := folder / name).exists()]:
        yield from _labelled(tables[0])
    else:
        for image in map(read_image, filter(is_image, find_sources(folder))):
            yield from ((image, found.box, "") for found in alpr.detect(image))


def _labelled(labels: Path) -> Iterator[LabelledPlate]:
    images = next(filter(Path.is_dir, (labels.with_name("images"), labels.parent)))
    try:
        with (
            os_errors_as(SourceError, labels),
            labels.open(newline="", encoding="utf-8-sig") as file,
        ):
            for row in csv.DictReader(file):
                if row["text"]:
                    image = read_image(images / row["image"])
                    ends = (0.0, 0.0, image.width, image.height)
                    x1, y1, x2, y2 = (
                        float(row.get(key) or end) for key, end in zip(CORNERS, ends, strict=True)
                    )
                    yield image, (x1, y1, x2, y2), row["text"]
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        reason = f"needs image, text and, in pixels, {', '.join(CORNERS)}: {reason_of(error)}"
        raise SourceError(labels, reason) from error


def compare(alprs: Iterable[ALPR], plates: Iterable[LabelledPlate]) -> list[ComparedPlate]:
    """Reads each plate once with each reader, by turns; raises SourceError if there is none."""
    readers = [alpr.networks.reader() for alpr in alprs]
    compared = []
    for number, (image, box, text) in enumerate(plates):
        found = {}
        for n in np.roll(range(len(readers)), number).tolist():
            started = time.perf_counter()
            (read,) = readers[n].read(image, [box])
            found[n] = single_reading(read), 1000 * (time.perf_counter() - started)
        readings, times_ms = zip(*(found[n] for n in sorted(found)), strict=True)
        compared.append(ComparedPlate(image.crop(box).copy(), text, readings, times_ms))
    if not compared:
        raise SourceError("--compare", "there is no plate, or none with a text in labels.csv")
    return compared


def accuracy(compared: Sequence[ComparedPlate], reader: int) -> dict[str, float | None]:
    """Returns plate_accuracy (also O/0- and I/1-insensitive) and the median time of a reader.

    Without labels, accuracies are None.
    """
    pairs = [(each.text, each.readings[reader].plate) for each in compared if each.text]
    folded = [(fold(text), fold(plate)) for text, plate in pairs]
    exact, alike = (
        sum(a == b for a, b in side) / len(side) if side else None for side in (pairs, folded)
    )
    return {
        "plates": len(pairs),
        "plate_accuracy": exact,
        "plate_accuracy_folded": alike,
        "median_ms": float(np.median([each.times_ms[reader] for each in compared])),
    }


def disagreements(compared: Iterable[ComparedPlate]) -> list[tuple[Image, list[str]]]:
    """Returns the plates that are read differently, each with its texts, the true one first."""
    return [
        (
            each.image,
            [each.text or "?", *(f"{r.plate or '-'} {r.confidence:.2f}" for r in each.readings)],
        )
        for each in compared
        if len({reading.plate for reading in each.readings}) > 1
    ]
