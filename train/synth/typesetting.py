"""Typesets the text of a plate: places its characters and symbols in rows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from plateid.core.records import Box
from train.synth.fonts import FontFace, pick_face
from train.synth.layouts import GAPS, PlateLayout
from train.synth.plate_texts import TextPart, TextRow
from train.synth.stroke_fonts import CAP

SQUEEZE = (0.62, 1.5)
"""Limits of the horizontal scaling that makes an open font look like that of a plate."""


@dataclass(frozen=True)
class PlacedSymbol:
    """A character or a symbol; in heights of a capital until it is placed, then in pixels."""

    kind: str  # the character, or one of GAPS
    x: float
    y: float
    width: float
    height: float
    row: int
    is_prefix: bool = False  # precedes the text without being a part of it

    @property
    def is_text(self) -> bool:
        """Whether it is a character of the text."""
        return len(self.kind) == 1 and not self.is_prefix

    @property
    def box(self) -> Box:
        """Its box, xyxy."""
        return self.x, self.y, self.x + self.width, self.y + self.height

    def placed(self, x: float, y: float, sx: float, sy: float) -> "PlacedSymbol":
        """Returns the symbol scaled by (sx, sy), then moved to (x, y)."""
        width, height = self.width * sx, self.height * sy
        return replace(self, x=self.x * sx + x, y=self.y * sy + y, width=width, height=height)


class Typesetter:
    """The random font and spacing of one plate."""

    def __init__(self, rng: np.random.Generator, layout: PlateLayout) -> None:
        self.layout = layout
        self.face: FontFace = pick_face(rng, layout.family)
        aspect = rng.uniform(*layout.aspect)
        self._squeeze = float(np.clip(aspect / self.face.width, *SQUEEZE))
        self._spacing = rng.uniform(*layout.spacing)
        self._cell = aspect if rng.random() < layout.monospaced else 0.0
        self._gap = rng.uniform(0.75, 1.3)
        self._prefix = layout.prefixes and layout.prefixes[rng.integers(len(layout.prefixes))]

    def typeset(
        self, rng: np.random.Generator, rows: tuple[TextRow, ...], area: Box, scale: float
    ) -> list[PlacedSymbol]:
        """Returns the symbols of all rows in pixels, characters in reading order.

        Bands leave the area free, xyxy in pixels; `scale` is in pixels per millimetre.
        """
        left, top, right, bottom = area
        centres = self.layout.row_centres or {1: (0.5,), 2: (0.29, 0.74)}[len(rows)]
        shift = rng.normal(0, 0.012)
        result = []
        for number, row in enumerate(rows):
            placed, width = self._place_row(row, number)
            cap = self.layout.cap_heights[number] * scale
            room = (right - left) * rng.uniform(0.93, 0.985)
            narrow = min(1.0, room / (width * cap)) if width else 1.0
            slack = right - left - width * cap * narrow
            x = left + slack * float(np.clip(rng.normal(0.5, 0.08), 0.15, 0.85))
            y = top + (centres[number] + shift) * (bottom - top) - cap / 2
            result += [each.placed(x, y, cap * narrow, cap) for each in placed]
        return result

    def _place_row(self, row: TextRow, number: int) -> tuple[list[PlacedSymbol], float]:
        placed: list[PlacedSymbol] = []
        x = 0.0
        if self._prefix and number == 0:
            placed.append(PlacedSymbol(self._prefix, 0, 0, 0.55, 1, number, is_prefix=True))
            x = 0.55 + 2 * self._spacing
        for part in row:
            if part.gap != "none":
                width = GAPS[part.gap] * self._gap
                start, reach = x - self._spacing, width + self._spacing
                placed.append(PlacedSymbol(part.gap, start, 0, reach, 1, number))
                x += width
            placed += self._place_part(part, x, number)
            x = max(each.x + each.width for each in placed if len(each.kind) == 1) + self._spacing
        return placed, x - self._spacing

    def _place_part(self, part: TextPart, x: float, number: int) -> Iterator[PlacedSymbol]:
        if part.stacked:
            count = len(part.characters)
            height = (1 - 0.08 * (count - 1)) / count
            narrow = min(1.0, 1.3 * height)
            for place, character in enumerate(part.characters):
                width = self._width(character) * narrow
                yield PlacedSymbol(character, x, place * (height + 0.08), width, height, number)
            return
        for character in part.characters:
            width = self._width(character)
            room = max(width, self._cell)
            yield PlacedSymbol(character, x + (room - width) / 2, 0, width, 1, number)
            x += room + self._spacing

    def _width(self, character: str) -> float:
        return float(self._squeeze * self.face.glyph(character).shape[1] / CAP)
