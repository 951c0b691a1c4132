"""Sets text in rows: where each character and each mark of a plate comes to stand."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from train.synth.fonts import FontFace, pick_face
from train.synth.layouts import PlateLayout
from train.synth.plate_texts import TextPart, TextRow
from train.synth.stroke_fonts import CAP

WIDTHS = {
    "none": 0.0,
    "thin": 0.12,
    "space": 0.38,
    "wide": 0.75,
    "dash": 0.5,
    "dot": 0.32,
    "star": 0.5,
    "seal": 0.62,
    "crest": 0.62,
    "shape": 0.6,
    "emblem": 1.0,
    "ring": 0.45,
}
"""Room of the gaps, in heights of a character."""
SQUEEZE = (0.62, 1.5)
"""How much an open font may be narrowed or widened to look like a plate's."""


@dataclass(frozen=True)
class PlacedSymbol:
    """A character or a mark, in heights of a capital until it is placed, then in pixels.

    Attributes:
        kind: The character, or the name of a gap.
        lead: It is drawn, but is no part of the text.
    """

    kind: str
    x: float
    y: float
    width: float
    height: float
    row: int
    lead: bool = False

    @property
    def is_text(self) -> bool:
        """Whether it is a character of the plate's text."""
        return len(self.kind) == 1 and not self.lead

    def moved(self, scale: NDArray[np.float64], offset: NDArray[np.float64]) -> "PlacedSymbol":
        """Scaled (x, y), then shifted (x, y)."""
        return replace(
            self,
            x=self.x * scale[0] + offset[0],
            y=self.y * scale[1] + offset[1],
            width=self.width * scale[0],
            height=self.height * scale[1],
        )


class Typesetter:
    """The font and the spacing of one plate."""

    def __init__(self, rng: np.random.Generator, layout: PlateLayout) -> None:
        """Picks them."""
        self.face: FontFace = pick_face(rng, layout.family)
        aspect = rng.uniform(*layout.aspect)
        self._squeeze = float(np.clip(aspect / self.face.width, *SQUEEZE))
        self._spacing = rng.uniform(*layout.spacing)
        self._cell = aspect if rng.random() < layout.cell else 0.0
        self._gap = rng.uniform(0.75, 1.3)
        self._lead = layout.lead and layout.lead[rng.integers(len(layout.lead))]

    def row(self, row: TextRow, number: int) -> tuple[list[PlacedSymbol], float]:
        """The items of a row, and its width."""
        items: list[PlacedSymbol] = []
        x = 0.0
        if self._lead and number == 0:
            items.append(PlacedSymbol(self._lead, 0, 0, 0.55, 1, number, lead=True))
            x = 0.55 + 2 * self._spacing
        for part in row:
            if part.gap != "none":
                width = WIDTHS[part.gap] * self._gap
                items.append(
                    PlacedSymbol(part.gap, x - self._spacing, 0, width + self._spacing, 1, number)
                )
                x += width
            items += self._part(part, x, number)
            x = max(item.x + item.width for item in items if len(item.kind) == 1) + self._spacing
        return items, x - self._spacing

    def _part(self, part: TextPart, x: float, number: int) -> Iterator[PlacedSymbol]:
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


def typeset(
    rng: np.random.Generator,
    rows: tuple[TextRow, ...],
    layout: PlateLayout,
    *,
    typesetter: Typesetter,
    area: tuple[float, float, float, float],
    scale: float,
) -> list[PlacedSymbol]:
    """The items of all rows, placed in the area (xyxy, pixels) that bands leave of the plate.

    Args:
        rng: Chance.
        rows: The text.
        layout: Its layout.
        typesetter: Its font and spacing.
        area: Room for the text.
        scale: Pixels of a millimetre.

    Returns:
        Boxes in pixels; characters in reading order.
    """
    left, top, right, bottom = area
    centres = layout.centres or {1: (0.5,), 2: (0.29, 0.74)}[len(rows)]
    shift = rng.normal(0, 0.012)
    result = []
    for number, row in enumerate(rows):
        items, width = typesetter.row(row, number)
        cap = layout.cap[number] * scale
        room = (right - left) * rng.uniform(0.93, 0.985)
        narrow = min(1.0, room / (width * cap)) if width else 1.0
        slack = right - left - width * cap * narrow
        x = left + slack * float(np.clip(rng.normal(0.5, 0.08), 0.15, 0.85))
        y = top + (centres[number] + shift) * (bottom - top) - cap / 2
        result += [item.moved(np.array([cap * narrow, cap]), np.array([x, y])) for item in items]
    return result
