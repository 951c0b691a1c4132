"""A detector and a reader that measure how long inference takes."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from plateid.core.records import Box, Detection, LazyImage, PlateRead
from plateid.pipeline.camera_pipeline import Detector
from plateid.pipeline.stills import PlateReader

Stopwatch = Callable[[], AbstractContextManager[object]]
"""Returns a context manager that measures the time of its body."""


@dataclass(frozen=True)
class TimedDetector:
    """Measures the time of each detection."""

    detector: Detector
    stopwatch: Stopwatch

    def detect(self, image: LazyImage) -> list[Detection]:
        """Returns the plates of an image."""
        with self.stopwatch():
            return self.detector.detect(image)


@dataclass(frozen=True)
class TimedReader:
    """Measures the time of each batch of plates; frames without a plate do not count."""

    reader: PlateReader
    stopwatch: Stopwatch

    def read(self, image: LazyImage, boxes: Sequence[Box]) -> list[PlateRead]:
        """Returns one read for each box."""
        if not boxes:
            return []
        with self.stopwatch():
            return self.reader.read(image, boxes)
