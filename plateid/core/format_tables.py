"""Parses tables of plate syntax; `formats.toml` describes the format."""

import functools
import itertools
import math
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any

from plateid.core.text import CHARSET
from plateid.errors import ConfigError, errors_as

DIGITS, LETTERS = CHARSET[:10], CHARSET[10:]
TO_SHAPE = str.maketrans(CHARSET, "D" * len(DIGITS) + "L" * len(LETTERS))
"""Turns a text into its shape: D for each digit, L for each letter."""
MAX_CHARACTERS = 12
"""Maximum number of characters of a plate: rendered plates of the training have no more."""
MAX_FORMS = 200
"""Most combinations of lengths in one pattern. It bounds the time that a user's file takes."""
COUNTRIES: dict[str, Any] = tomllib.loads(
    resources.files("plateid.core").joinpath("countries.toml").read_text()
)
"""What countries there are, by their codes."""
CODES = frozenset(COUNTRIES["all"].split())
ATOM = re.compile(
    r"(?P<atom>\[[^\[\]]*\]|[^\[\]{}])(?:\{(?P<least>[0-9]{1,2})(?:,(?P<most>[0-9]{1,2}))?\})?"
)
"""A character or class of a pattern, and how often it repeats."""
KINDS = {"D": len(DIGITS), "L": len(LETTERS)}
"""Number of characters of each kind in a shape."""
Cell = frozenset[str]
"""The texts of equal length that one place of a pattern allows."""
Unit = list[tuple[Cell, ...]]
"""A list of words or a repeated character of a pattern: the cells of each of its lengths."""


@dataclass(frozen=True)
class Format:
    """One pattern of one country, for texts of one shape."""

    table: str  # a country code, or `us.ca` for a part of a country
    shape: str  # D for each digit, L for each letter
    size: int  # number of texts of this length that match
    gaps: tuple[int, ...]  # numbers of characters before each gap of the displayed plate
    limits: tuple[tuple[int, int, frozenset[str]], ...]
    """Start and end of each part that the shape does not decide, and the strings it may be."""

    @property
    def code(self) -> str:
        """Country code, ISO 3166-1 alpha-2 in lower case."""
        return self.table[:2]

    def matches(self, plate: str) -> bool:
        """Returns whether a text of this shape matches."""
        return not self.limits or all(plate[a:b] in allowed for a, b, allowed in self.limits)

    def display(self, plate: str) -> str:
        """Returns a matching plate with the country's gaps."""
        return " ".join(plate[a:b] for a, b in itertools.pairwise((0, *self.gaps, len(plate))))


def parse_tables(text: str, source: object) -> tuple[Format, ...]:
    """Returns the formats of a TOML text; raises ConfigError with source, line and reason."""
    with errors_as(ConfigError, source, ValueError, RecursionError):
        tables = tomllib.loads(text)
    file = _File(source, text)
    for code in tables:
        if code not in CODES:
            raise file.error(code, "is not a country's code: ISO 3166-1, two lower-case letters")
    return tuple(entry for code, table in tables.items() for entry in _series(file, code, table))


@dataclass(frozen=True)
class _File:
    source: object
    text: str

    def error(self, name: str, reason: str, found: object = None) -> ConfigError:
        """Returns an error about the table `name`, with the line of the string `found`."""
        country, _, part = name.partition(".")
        start = self._find(name, self._find(part or name, self._find(country, 0)))
        string = re.compile(f"[\"']{re.escape(str(found))}[\"']")
        place = match.start() if (match := string.search(self.text, start)) else start
        line = self.text.count("\n", 0, place) + 1
        return ConfigError(f"{self.source}: line {line}", f"{name}: {reason}")

    def _find(self, name: str, start: int) -> int:
        """Returns where a line begins with a name after `start`; `start` if none does."""
        line = re.compile(rf"^[ \t]*\[?[ \t]*{re.escape(name)}\b", re.MULTILINE)
        return match.start() if (match := line.search(self.text, start)) else start


def _series(file: _File, name: str, table: object) -> Iterator[Format]:
    """Yields the formats of a country's table and of its nested tables."""
    if not isinstance(table, dict):
        raise file.error(name, "is neither a table nor letters, patterns or a source", table)
    letters = _letters(file, name, table.get("letters", LETTERS))
    if not isinstance(table.get("source", ""), str):
        raise file.error(name, "source is not a string")
    nested = table.keys() - {"letters", "patterns", "source"}
    for pattern in _patterns(file, name, table) if "patterns" in table or not nested else ():
        try:
            yield from _formats(name, pattern, letters)
        except ValueError as error:
            raise file.error(name, f'pattern "{pattern}": {error}', pattern) from error
    for key in sorted(nested):
        yield from _series(file, f"{name}.{key}", table[key])


def _letters(file: _File, name: str, letters: Any) -> str:
    if not isinstance(letters, str) or not letters or not set(letters) <= set(LETTERS):
        raise file.error(name, f"letters: {letters!r} are not all of {LETTERS}", letters)
    return "".join(sorted(set(letters)))


def _patterns(file: _File, name: str, table: dict[str, Any]) -> list[str]:
    patterns = table.get("patterns")
    if not isinstance(patterns, list) or not patterns:
        raise file.error(name, "has no list of patterns")
    if wrong := [pattern for pattern in patterns if not isinstance(pattern, str)]:
        raise file.error(name, f"pattern {wrong[0]!r} is not a string")
    if twice := [pattern for pattern in patterns if patterns.count(pattern) > 1]:
        raise file.error(name, f'pattern "{twice[0]}" is listed twice', twice[0])
    return patterns


def _formats(table: str, pattern: str, letters: str) -> Iterator[Format]:
    """Yields the formats of a pattern; raises ValueError with the reason if it is invalid."""
    parts = [_units(part, letters) for part in pattern.split(" ")]
    if math.prod(len(unit) for unit in itertools.chain(*parts)) > MAX_FORMS:
        raise ValueError(f"allows more than {MAX_FORMS} combinations of lengths")
    for form in itertools.product(*(itertools.product(*part) for part in parts)):
        cells = [list(itertools.chain(*part)) for part in form]
        gaps = [*itertools.accumulate(sum(map(_length, part)) for part in cells)]
        if gaps[-1] > MAX_CHARACTERS:
            raise ValueError(f"is longer than {MAX_CHARACTERS} characters")
        yield from _shaped(table, tuple(itertools.chain(*cells)), tuple(gaps[:-1]))


def _shaped(table: str, cells: tuple[Cell, ...], gaps: tuple[int, ...]) -> Iterator[Format]:
    """Yields a format for each shape that the texts of these cells have."""
    size = math.prod(map(len, cells))
    places = [*itertools.pairwise((0, *itertools.accumulate(map(_length, cells))))]
    for shapes in itertools.product(*map(_by_shape, cells)):
        limits = tuple(
            (*place, allowed)
            for place, (_, allowed, is_limit) in zip(places, shapes, strict=True)
            if is_limit
        )
        yield Format(table, "".join(shape for shape, *_ in shapes), size, gaps, limits)


@functools.cache
def _by_shape(cell: Cell) -> tuple[tuple[str, Cell, bool], ...]:
    """Returns each shape in a cell, its texts, and whether they are only some of that shape."""
    groups = defaultdict(set)
    for text in sorted(cell):
        groups[text.translate(TO_SHAPE)].add(text)
    return tuple(
        (shape, frozenset(texts), len(texts) < math.prod(KINDS[kind] for kind in shape))
        for shape, texts in groups.items()
    )


def _length(cell: Cell) -> int:
    return len(next(iter(cell)))


def _units(part: str, letters: str) -> list[Unit]:
    units: list[Unit] = []
    for piece in part.split("+"):
        if "|" in piece:
            words = sorted(set(piece.split("|")), key=len)
            _check("".join(words), is_empty="" in words)
            units.append([(frozenset(group),) for _, group in itertools.groupby(words, key=len)])
        else:
            units += _atoms(piece, letters)
    return units


def _atoms(piece: str, letters: str) -> Iterator[Unit]:
    """Yields a unit for each character or class of a piece."""
    end = 0
    while (atom := ATOM.match(piece, end)) is not None:
        end = atom.end()
        cell = _cell(atom["atom"], letters)
        least = int(atom["least"] or 1)
        most = int(atom["most"] or least)
        if not 1 <= least <= most <= MAX_CHARACTERS:
            raise ValueError(f"{atom[0]!r} repeats 1 to {MAX_CHARACTERS} times, least first")
        yield [(cell,) * count for count in range(least, most + 1)]
    _check(piece[end:], is_empty=not piece)


def _cell(atom: str, letters: str) -> Cell:
    """Returns the characters of L, D, X, a class such as [A-HJ], or a literal character."""
    if classes := {"L": letters, "D": DIGITS, "X": DIGITS + letters}.get(atom):
        return frozenset(classes)
    characters = re.sub("(.)-(.)", _range, atom.removeprefix("[").removesuffix("]"))
    _check(characters, is_empty=not characters)
    return frozenset(characters)


def _range(found: re.Match[str]) -> str:
    """Returns the characters of a range such as A-H; raises ValueError if it is empty."""
    _check(found[1] + found[2])
    characters = CHARSET[CHARSET.index(found[1]) : CHARSET.index(found[2]) + 1]
    if not characters:
        raise ValueError(f"the range {found[0]} is empty")
    return characters


def _check(characters: str, *, is_empty: bool = False) -> None:
    """Raises ValueError if the charset lacks a character, or if there is none."""
    if is_empty:
        raise ValueError("is empty, or has an empty piece, word or class")
    for character in characters:
        if character not in CHARSET:
            kind = "the charset lacks" if character.isalnum() else "unknown pattern character"
            raise ValueError(f"{kind} {character!r}")
