"""Test-time augmentation: reads doubtful plates of a still image in several crops, also turned."""

from collections.abc import Sequence
from dataclasses import replace

from plateid.core.fusion import Fusion
from plateid.core.geometry import expanded
from plateid.core.reading import single_reading
from plateid.core.records import Box, LazyImage, PlateRead
from plateid.core.text import tempered
from plateid.models.easyocr_reader import EasyOcrReader
from plateid.models.onnx_reader import OnnxReader
from plateid.models.upright_crop import upright_crops

SURE_CONFIDENCE = 0.9
"""Minimum confidence at which a single read is final."""
MARGINS = ((0.05, 0.05), (-0.05, -0.05), (0.0, 0.1))
"""Margins (x, y) of the additional crops, as fractions of the box's width and height: wider,
narrower, higher."""
FUSED_TEMPERATURE = 1.4
"""Temperature of the fused read: crops of one image have more correlated errors than frames."""
TURNS = (-16.0, -8.0, 8.0, 16.0)
"""Angles by which a plate may be tilted that stays doubtful, degrees."""
DOUBTFUL_CONFIDENCE = 0.65
"""Confidence of the fused read below which the plate is turned. Real plates then cost 14 % more
reads."""
TURNED_CONFIDENCE = 0.95
"""Minimum confidence at which the read of a turned plate counts."""


class TtaReader:
    """A reader that reads a doubtful box again: wider, narrower, higher, then turned."""

    def __init__(self, reader: OnnxReader | EasyOcrReader) -> None:
        self._reader = reader

    def read(self, image: LazyImage, boxes: Sequence[Box]) -> list[PlateRead]:
        """Returns one read for each box, in order; raises ModelError if the network fails."""
        reads = self._reader.read(image, boxes)
        return [
            read if _is_sure(read) else self._read_again(image, box, read)
            for read, box in zip(reads, boxes, strict=True)
        ]

    def _read_again(self, image: LazyImage, box: Box, read: PlateRead) -> PlateRead:
        fused = _fuse([read, *self._reader.read(image, crop_variants(box))])
        is_doubtful = _confidence(fused) < DOUBTFUL_CONFIDENCE
        return _best(fused, read_turned(self._reader, image, box)) if is_doubtful else fused


def crop_variants(box: Box) -> list[Box]:
    """Returns the boxes that are read as well if the read of the box itself is doubtful."""
    return [expanded(box, x=x, y=y) for x, y in MARGINS]


def read_turned(reader: OnnxReader | EasyOcrReader, image: LazyImage, box: Box) -> list[PlateRead]:
    """Returns the reads of the box turned by each possible angle of `TURNS`."""
    return [reader.read(crop, [crop.box])[0] for crop in upright_crops(image, box, TURNS)]


def fuse_variants(reads: Sequence[PlateRead]) -> PlateRead:
    """Combines the reads of a box, of its variants and of its turned crops, in this order.

    A sure first read is final.
    """
    if len(reads) == 1 or _is_sure(reads[0]):
        return reads[0]
    fused = _fuse(reads[: 1 + len(MARGINS)])
    is_doubtful = _confidence(fused) < DOUBTFUL_CONFIDENCE
    return _best(fused, reads[1 + len(MARGINS) :]) if is_doubtful else fused


def _fuse(reads: Sequence[PlateRead]) -> PlateRead:
    fusion = Fusion(keep_blanks=True)
    for read in reads:
        fusion.add(read)
    return replace(reads[0], probabilities=tempered(fusion.positions(), FUSED_TEMPERATURE))


def _best(fused: PlateRead, turned: Sequence[PlateRead]) -> PlateRead:
    """Returns the turned read with the highest confidence if that is high, else the fused one."""
    best = max(turned, key=_confidence, default=fused)
    return best if _confidence(best) >= TURNED_CONFIDENCE else fused


def _is_sure(read: PlateRead) -> bool:
    return _confidence(read) >= SURE_CONFIDENCE


def _confidence(read: PlateRead) -> float:
    return single_reading(read).confidence
