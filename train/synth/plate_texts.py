"""Random texts by a layout's patterns, with what stands between their parts."""

from dataclasses import dataclass

import numpy as np

from train.synth.layouts import ROW, STACK, PlateLayout

TWIN = 0.08
"""How often a character is made that of its neighbour: readers merge twins."""


@dataclass(frozen=True)
class TextPart:
    """Characters that stand together, and the gap before them."""

    characters: str
    gap: str = "none"
    stacked: bool = False


Row = tuple[TextPart, ...]


def random_rows(rng: np.random.Generator, layout: PlateLayout) -> tuple[Row, ...]:
    """A text of the layout, row by row."""
    pattern = layout.patterns[rng.integers(len(layout.patterns))]
    rows: list[list[TextPart]] = [[]]
    number = 0
    for word in pattern.split(" "):
        if word == ROW:
            rows.append([])
            continue
        gap = "none"
        if rows[-1]:
            kinds = layout.gaps[min(number, len(layout.gaps) - 1)]
            gap = kinds[rng.integers(len(kinds))]
            number += 1
        stack = STACK.fullmatch(word)
        characters = random_part(rng, stack[1] if stack else word, layout)
        rows[-1].append(TextPart(characters, gap, bool(stack)))
    return tuple(tuple(row) for row in rows)


def random_part(rng: np.random.Generator, part: str, layout: PlateLayout) -> str:
    """The characters of one part of a pattern."""
    return "".join(_piece(rng, piece, layout) for piece in part.split("+"))


def _piece(rng: np.random.Generator, piece: str, layout: PlateLayout) -> str:
    words = piece.split("|")
    if len(words) > 1:
        return words[rng.integers(len(words))]
    classes = {"L": layout.letters, "D": layout.digits, "X": layout.digits + layout.letters}
    result = ""
    for kind in piece:
        choices = classes.get(kind, kind)
        twin = bool(result) and rng.random() < TWIN and result[-1] in choices
        result += result[-1] if twin else choices[rng.integers(len(choices))]
    return result
