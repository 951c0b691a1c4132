"""Test-time augmentation: reads doubtful plates of a still image in several crops."""

from collections.abc import Sequence
from dataclasses import replace

from plateid.core.fusion import Fusion
from plateid.core.geometry import expanded
from plateid.core.reading import single_reading
from plateid.core.records import Box, LazyImage, PlateRead
from plateid.core.text import tempered
from plateid.models.easyocr_reader import EasyOcrReader
from plateid.models.onnx_reader import OnnxReader
from plateid.models.slot_reader import SlotReader

SURE_CONFIDENCE = 0.9
"""Minimum confidence at which a single read is final."""
MARGINS = ((0.05, 0.05), (-0.05, -0.05), (0.0, 0.1))
"""Margins (x, y) of the additional crops, as fractions of the box's width and height: wider,
narrower, higher."""
FUSED_TEMPERATURE = 1.4
"""Temperature of the fused read: crops of one image have more correlated errors than frames."""


class TtaReader:
    """A reader that reads a doubtful box again, cropped wider, narrower and higher."""

    def __init__(self, reader: OnnxReader | SlotReader | EasyOcrReader) -> None:
        self._reader = reader

    def read(self, image: LazyImage, boxes: Sequence[Box]) -> list[PlateRead]:
        """Returns one read for each box, in order; raises ModelError if the network fails."""
        reads = self._reader.read(image, boxes)
        return [
            read if _is_sure(read) else _fuse([read, *self._reader.read(image, crop_variants(box))])
            for read, box in zip(reads, boxes, strict=True)
        ]


def crop_variants(box: Box) -> list[Box]:
    """Returns the boxes that are read as well if the read of the box itself is doubtful."""
    return [expanded(box, x=x, y=y) for x, y in MARGINS]


def fuse_variants(reads: Sequence[PlateRead]) -> PlateRead:
    """Fuses the reads of a box and its variants, in this order; a sure first read is final."""
    return reads[0] if len(reads) == 1 or _is_sure(reads[0]) else _fuse(reads)


def _fuse(reads: Sequence[PlateRead]) -> PlateRead:
    fusion = Fusion(keep_blanks=True)
    for read in reads:
        fusion.add(read)
    return replace(reads[0], probabilities=tempered(fusion.positions(), FUSED_TEMPERATURE))


def _is_sure(read: PlateRead) -> bool:
    return single_reading(read).confidence >= SURE_CONFIDENCE
