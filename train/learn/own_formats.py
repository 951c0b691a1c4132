"""Layouts of rendered plates that have the formats of your plates, in any font and colour.

A few labels show the length of a country's plates and where they have digits. Rendered plates of
these formats teach that without teaching the few plates by heart.
"""

from collections.abc import Sequence

import numpy as np

from train.synth.layouts import FREE, MAX_GROUPS, ROW, PlateLayout, layouts, random_split

PATTERNS = 40
"""Formats of each layout: many, because a layout is one size and colour of a plate."""


def layouts_like(texts: Sequence[str], two_lines: float, *, seed: int) -> tuple[PlateLayout, ...]:
    """Returns layouts whose patterns are those of the texts. `two_lines` is a share (0-1)."""
    rng = np.random.default_rng(seed)
    free = [plate for each in layouts() for plate in each.plates if FREE in plate.patterns[0]]
    rows = [1 if rng.random() >= two_lines else 2 for _ in range(2 * len(free))]
    chosen = []
    for count in rows:
        fitting = [plate for plate in free if len(plate.cap_heights) == count]
        layout = fitting[int(rng.integers(len(fitting)))]
        patterns = tuple(_pattern(rng, str(rng.choice(texts)), count) for _ in range(PATTERNS))
        chosen.append(layout.model_copy(update={"patterns": patterns}))
    return tuple(chosen)


def _pattern(rng: np.random.Generator, text: str, rows: int) -> str:
    """Returns a pattern such as `DDDDD DDD DD` for a text, with random gaps and rows."""
    kinds = "".join("D" if character.isdigit() else "L" for character in text)
    lines = _cut(rng, kinds, min(rows, len(kinds)))
    groups = (
        _cut(rng, line, int(rng.integers(1, 1 + min(MAX_GROUPS, len(line))))) for line in lines
    )
    return f" {ROW} ".join(" ".join(each) for each in groups)


def _cut(rng: np.random.Generator, text: str, parts: int) -> list[str]:
    ends = np.cumsum(random_split(rng, len(text), parts)).tolist()
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
