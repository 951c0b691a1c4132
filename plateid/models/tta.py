"""A second look at the plates of a still picture: it has no other frame to compare with."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from plateid.core.fusion import Fusion
from plateid.core.geometry import expanded
from plateid.core.reading import read_once
from plateid.core.records import Box, LazyImage, PlateRead
from plateid.core.text import tempered

SURE = 0.9
"""Reads of this confidence are not looked at again."""
CUTS = ((0.05, 0.05), (-0.05, -0.05), (0.0, 0.1))
"""The other cuts of a box: what each side moves outwards, in parts of its width and height."""
ALIKE = 1.4
"""Cuts of one picture err more alike than frames of a pass do: the temperature of what they say
together."""


class Reader(Protocol):
    """Who reads boxes of a picture."""

    def read(self, image: LazyImage, boxes: Sequence[Box]) -> list[PlateRead]:
        """One read for each box."""


class CloseReader:
    """Reads a box of which the reader is unsure again, cut wider, narrower and higher."""

    def __init__(self, reader: Reader) -> None:
        """Who reads each cut."""
        self._reader = reader

    def read(self, image: LazyImage, boxes: Sequence[Box]) -> list[PlateRead]:
        """One read for each box, in order.

        Raises:
            ModelError: The network failed.
        """
        reads = self._reader.read(image, boxes)
        unsure = [n for n, read in enumerate(reads) if not _is_sure(read)]
        others = self._reader.read(image, [cut for n in unsure for cut in other_cuts(boxes[n])])
        for n, start in zip(unsure, range(0, len(others), len(CUTS)), strict=True):
            reads[n] = _fused([reads[n], *others[start : start + len(CUTS)]])
        return reads


def other_cuts(box: Box) -> list[Box]:
    """What is read as well where the box itself leaves doubt."""
    return [expanded(box, x=x, y=y) for x, y in CUTS]


def together(reads: Sequence[PlateRead]) -> PlateRead:
    """What a box and its other cuts say, in this order: the first alone where it is sure."""
    return reads[0] if len(reads) == 1 or _is_sure(reads[0]) else _fused(reads)


def _fused(reads: Sequence[PlateRead]) -> PlateRead:
    fusion = Fusion(doubts=True)
    for read in reads:
        fusion.add(read)
    slots = tempered(fusion.slots(), ALIKE)
    return replace(reads[0], probabilities=slots, regions=fusion.regions())


def _is_sure(read: PlateRead) -> bool:
    return read_once(read).confidence >= SURE
