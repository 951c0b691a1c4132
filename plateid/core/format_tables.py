"""Parses tables of plate syntax; `formats.toml` describes the format."""

import functools
import itertools
import math
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from plateid.core.text import CHARSET
from plateid.errors import ConfigError

DIGITS, LETTERS = CHARSET[:10], CHARSET[10:]
RESERVED = ("eu", "uk")
"""Region names that are not country codes."""


@dataclass(frozen=True)
class Format:
    """One pattern of one country.

    Attributes:
        code: Country code, ISO 3166-1 alpha-2 in lower case.
        expression: Regular expression of the text without gaps; one group per displayed part.
        size: Number of texts that match.
        lengths: Possible numbers of characters.
    """

    code: str
    expression: str
    size: int
    lengths: frozenset[int]

    @functools.cached_property
    def regex(self) -> re.Pattern[str]:
        """The compiled expression."""
        return re.compile(self.expression)

    def display(self, plate: str) -> str | None:
        """Returns the plate with the country's gaps; None if it does not match."""
        match = self.regex.fullmatch(plate)
        return match and " ".join(match.groups())


def parse_tables(text: str, source: object) -> tuple[Format, ...]:
    """Returns the formats of all countries in a TOML file with the content `text`.

    Raises ConfigError if it is invalid, with the source, the line and the reason.
    """
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(source, error) from error
    file = _File(source, text)
    return tuple(entry for code, table in tables.items() for entry in _country(file, code, table))


@dataclass(frozen=True)
class _File:
    source: object
    text: str

    def error(self, name: str, reason: str, found: object = None) -> ConfigError:
        """Returns an error about the table `name`, with the line of the string `found`."""
        table = re.compile(rf"^[ \t]*\[?[ \t]*{re.escape(name)}\b", re.MULTILINE)
        start = match.start() if (match := table.search(self.text)) else 0
        string = re.compile(f"[\"']{re.escape(str(found))}[\"']")
        place = match.start() if (match := string.search(self.text, start)) else start
        line = self.text.count("\n", 0, place) + 1
        return ConfigError(f"{self.source}: line {line}", f"{name}: {reason}")


def _country(file: _File, code: str, table: object) -> Iterator[Format]:
    if not re.fullmatch("[a-z]{2}", code) or code in RESERVED:
        raise file.error(code, "is not a country's code: two lower-case letters, as in ro")
    yield from _series(file, code, table)


def _series(file: _File, name: str, table: object) -> Iterator[Format]:
    """Yields the formats of a country's table and of its nested tables."""
    if not isinstance(table, dict):
        raise file.error(name, "is neither a table nor letters or patterns", table)
    letters = _letters(file, name, table.get("letters", LETTERS))
    for pattern in _patterns(file, name, table):
        try:
            yield _format(name[:2], pattern, letters)
        except ValueError as error:
            raise file.error(name, f'pattern "{pattern}": {error}', pattern) from error
    for key in table.keys() - {"letters", "patterns"}:
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
    return patterns


def _format(code: str, pattern: str, letters: str) -> Format:
    parts = [[_piece(piece, letters) for piece in part.split("+")] for part in pattern.split(" ")]
    pieces = list(itertools.chain.from_iterable(parts))
    return Format(
        code,
        "".join(f"({''.join(piece.expression for piece in part)})" for part in parts),
        math.prod(piece.size for piece in pieces),
        frozenset(map(sum, itertools.product(*(piece.lengths for piece in pieces)))),
    )


@dataclass(frozen=True)
class _Piece:
    expression: str
    size: int
    lengths: frozenset[int]


def _piece(piece: str, letters: str) -> _Piece:
    """Parses a piece of a pattern; raises ValueError with the reason if it is invalid."""
    words = frozenset(piece.split("|"))
    if "" in words:
        raise ValueError("is empty, or has an empty piece or word")
    for character in "".join(words):
        if character not in CHARSET:
            kind = "the charset lacks" if character.isalnum() else "unknown pattern character"
            raise ValueError(f"{kind} {character!r}")
    if "|" in piece:
        return _Piece(f"(?:{'|'.join(sorted(words))})", len(words), frozenset(map(len, words)))
    classes = {"L": letters, "D": DIGITS, "X": DIGITS + letters}
    sets = [classes.get(character, character) for character in piece]
    return _Piece(
        "".join(f"[{characters}]" for characters in sets),
        math.prod(len(characters) for characters in sets),
        frozenset({len(sets)}),
    )
