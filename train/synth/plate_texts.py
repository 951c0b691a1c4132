"""Splits random or given plate texts into the rows and parts of a layout."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from train.synth.layouts import ROW, STACK, PlateLayout, with_free_rows

DIGITS = "0123456789"
REPEATED = 0.08
"""Share (0-1) of characters that repeat their neighbour, because readers merge repetitions."""


@dataclass(frozen=True)
class TextPart:
    """Characters without a gap, the kind of gap before them, and whether they form a column."""

    characters: str
    gap: str = "none"
    stacked: bool = False


TextRow = tuple[TextPart, ...]


def random_rows(rng: np.random.Generator, layout: PlateLayout) -> tuple[TextRow, ...]:
    """Returns the rows of a random text that fits the layout."""
    pattern = with_free_rows(rng, layout.patterns[rng.integers(len(layout.patterns))])

    def write(part: str) -> str:
        return "".join(_random_piece(rng, piece, layout) for piece in part.split("+"))

    return _rows(rng, layout, pattern, write)


def rows_of(rng: np.random.Generator, layout: PlateLayout, text: str) -> tuple[TextRow, ...]:
    """Returns the rows of a text that fits the layout, with random gaps between its parts."""
    pattern, *parts = match_text(layout, text)
    return _rows(rng, layout, pattern, lambda _: parts.pop(0))


def match_text(layout: PlateLayout, text: str) -> tuple[str, ...]:
    """Returns the first pattern that the text fits, and the text's parts; an empty tuple if none.

    Spaces between the parts of a row are optional; a slash separates two rows.
    """
    for pattern in layout.patterns:
        if match := _expression(pattern, layout).fullmatch(text):
            return pattern, *match.groups()
    return ()


def _rows(
    rng: np.random.Generator, layout: PlateLayout, pattern: str, write: Callable[[str], str]
) -> tuple[TextRow, ...]:
    """Returns the rows of a pattern; `write` returns the characters of each part."""
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
        characters = write(stack[1] if stack else word)
        rows[-1].append(TextPart(characters, gap, bool(stack)))
    return tuple(tuple(row) for row in rows)


def _random_piece(rng: np.random.Generator, piece: str, layout: PlateLayout) -> str:
    words = piece.split("|")
    if len(words) > 1:
        return words[rng.integers(len(words))]
    classes = _classes(layout)
    result = ""
    for kind in piece:
        choices = classes.get(kind, kind)
        repeated = bool(result) and rng.random() < REPEATED and result[-1] in choices
        result += result[-1] if repeated else choices[rng.integers(len(choices))]
    return result


def _classes(layout: PlateLayout) -> dict[str, str]:
    return {"L": layout.letters, "D": DIGITS, "X": DIGITS + layout.letters}


def _expression(pattern: str, layout: PlateLayout) -> re.Pattern[str]:
    """Returns a regular expression for a pattern, with one group for each part."""
    classes = _classes(layout)

    def piece(text: str) -> str:
        if "|" in text:
            return f"(?:{text})"
        return "".join(f"[{classes.get(kind, kind)}]" for kind in text)

    def part(word: str) -> str:
        return f"({''.join(map(piece, word.strip('[]').split('+')))})"

    rows = (" ?".join(map(part, row.split())) for row in pattern.split(ROW))
    return re.compile(f" ?{ROW} ?".join(rows))
