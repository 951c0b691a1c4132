"""Plates of pictures that have no before and after."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from plateid.core.formats import Formats
from plateid.core.reading import read_once
from plateid.core.records import Box, Detection, LazyImage, PlateRead, Reading


class PlateReader(Protocol):
    """Reads plates."""

    def read(self, image: LazyImage, boxes: Sequence[Box]) -> list[PlateRead]:
        """One read for each box; raises ModelError when it cannot tell."""
        ...


@dataclass(frozen=True)
class PlateResult:
    """One plate in a picture, and what it says (on video: all reads so far together)."""

    detection: Detection
    reading: Reading


def read_detections(
    image: LazyImage,
    detections: Sequence[Detection],
    reader: PlateReader,
    formats: Formats | None = None,
) -> list[PlateResult]:
    """Reads each detection of a still picture by itself, best first.

    Args:
        image: Where they are.
        detections: The plates.
        reader: Who reads them.
        formats: Which texts are expected; by default, those of any country.

    Raises:
        ModelError: The reader failed.
    """
    reads = reader.read(image, [detection.box for detection in detections])
    results = [
        PlateResult(detection, read_once(read, formats))
        for detection, read in zip(detections, reads, strict=True)
    ]
    return sorted(results, key=lambda result: -result.reading.confidence)
