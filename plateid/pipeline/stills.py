"""Plates of pictures that have no before and after."""

from collections.abc import Sequence
from typing import Protocol

from plateid.core.formats import Formats
from plateid.core.reading import read_once
from plateid.core.records import Box, Detection, LazyImage, Plate, PlateRead


class PlateReader(Protocol):
    """Reads plates."""

    def read(self, image: LazyImage, boxes: Sequence[Box]) -> list[PlateRead]:
        """One read for each box; raises ModelError when it cannot tell."""
        ...


def read_detections(
    image: LazyImage,
    detections: Sequence[Detection],
    reader: PlateReader,
    formats: Formats | None = None,
) -> list[Plate]:
    """Reads each detected plate of a still image and returns the plates, best first.

    Args:
        image: The image that was searched.
        detections: The plates in it.
        reader: The plate reader.
        formats: The expected plate syntax; by default that of any country.

    Raises:
        ModelError: The reader failed.
    """
    reads = reader.read(image, [detection.box for detection in detections])
    plates = [
        Plate.of(detection, read_once(read, formats))
        for detection, read in zip(detections, reads, strict=True)
    ]
    return sorted(plates, key=lambda plate: -plate.confidence)
