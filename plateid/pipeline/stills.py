"""Reads the plates of single images."""

from collections.abc import Sequence
from typing import Protocol

from plateid.core.formats import Formats
from plateid.core.reading import single_reading
from plateid.core.records import Box, Detection, LazyImage, Plate, PlateRead


class PlateReader(Protocol):
    """Reads plates."""

    def read(self, image: LazyImage, boxes: Sequence[Box]) -> list[PlateRead]:
        """Returns one read for each box; raises ModelError when inference fails."""


def read_detections(
    image: LazyImage,
    detections: Sequence[Detection],
    reader: PlateReader,
    formats: Formats | None = None,
) -> list[Plate]:
    """Reads each detected plate of an image by itself, and returns the plates, best first.

    `formats` is the expected plate syntax, by default that of any country.

    Raises:
        ModelError: Inference failed.
    """
    reads = reader.read(image, [detection.box for detection in detections])
    plates = [
        single_reading(read, formats).to_plate(detection)
        for detection, read in zip(detections, reads, strict=True)
    ]
    return sorted(plates, key=lambda plate: -plate.confidence)
