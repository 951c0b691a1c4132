"""Detectors and readers whose time is taken."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from plateid.core.records import Box, Detection, LazyImage, PlateRead
from plateid.pipeline.camera_pipeline import Detector
from plateid.pipeline.stills import PlateReader

Stopwatch = Callable[[], AbstractContextManager[object]]
"""Takes the time of what is done within."""


@dataclass(frozen=True)
class TimedDetector:
    """As the detector itself."""

    detector: Detector
    stopwatch: Stopwatch

    def detect(self, image: LazyImage) -> list[Detection]:
        """The plates of a picture."""
        with self.stopwatch():
            return self.detector.detect(image)


@dataclass(frozen=True)
class TimedReader:
    """As the reader itself; frames without a plate are not counted."""

    reader: PlateReader
    stopwatch: Stopwatch

    def read(self, image: LazyImage, boxes: Sequence[Box]) -> list[PlateRead]:
        """One read for each box."""
        if not boxes:
            return []
        with self.stopwatch():
            return self.reader.read(image, boxes)
