"""Lists of known plates: the entry that a plate fits, though a character was read as another.

A list is a CSV file, as any spreadsheet writes it: the first row names the columns, `#` begins a
comment, and cells are parted by commas, semicolons or tabs.
"""

import csv
import functools
import io
import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import pairwise
from typing import get_args

from plateid.core.records import ListKind, ListMatch
from plateid.core.text import CHARSET, CONFUSABLE_PAIRS, edit_distance
from plateid.errors import ConfigError

COLUMNS = ("plate", "list", "name", "note", "valid_from", "valid_to", "cameras")
REQUIRED = COLUMNS[:2]
SEPARATORS = ",;\t"
GAPS = re.compile(r"[\s.·-]")
PRECEDENCE: tuple[ListKind, ...] = ("deny", "watch", "allow")
"""Of entries that are equally near: who is on two lists is treated by the stricter one."""
LOOK_ALIKE = 0.25
"""What it costs to take a character for one that looks like it; any other edit costs 1."""
FOLDED = str.maketrans({one: other for one, other, _ in CONFUSABLE_PAIRS})
"""Texts that differ in look-alikes only become one."""
ALIKE = frozenset(
    pair for one, other, _ in CONFUSABLE_PAIRS for pair in ((one, other), (other, one))
)


@dataclass(frozen=True)
class Entry:
    """One row of a list.

    Attributes:
        plate: Upper-case letters and digits.
        kind: The list that it stands on.
        name: Who it is; by default the plate as it was written.
        note: For people.
        valid_from, valid_to: In the box's local time, both included; None: no bound.
        cameras: Where it counts; empty: everywhere.
    """

    plate: str
    kind: ListKind
    name: str
    note: str = ""
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    cameras: frozenset[str] = frozenset()

    def counts(self, camera: str, at: datetime) -> bool:
        """Whether it is valid for a camera at a moment (aware)."""
        local = at.astimezone().replace(tzinfo=None)
        return (
            (not self.cameras or camera in self.cameras)
            and (self.valid_from is None or self.valid_from <= local)
            and (self.valid_to is None or local <= self.valid_to)
        )


@dataclass(frozen=True)
class Lists:
    """All entries of a file.

    Attributes:
        entries: In the order of the file.
        max_distance: The greatest `distance` at which a plate fits an entry.
    """

    entries: tuple[Entry, ...] = ()
    max_distance: float = 0.5

    @functools.cached_property
    def _by_piece(self) -> dict[str, set[int]]:
        """Numbers of the entries, by the pieces that as many edits as may be leave one of."""
        pieces: dict[str, set[int]] = defaultdict(set)
        count = int(self.max_distance) + 1
        for number, entry in enumerate(self.entries):
            folded = entry.plate.translate(FOLDED)
            ends = [len(folded) * n // count for n in range(count + 1)]
            for start, end in pairwise(ends):
                pieces[folded[start:end]].add(number)
        return dict(pieces)

    def match(self, plate: str, *, camera: str, at: datetime) -> ListMatch | None:
        """The nearest entry that counts for this camera at this moment; None where none is near."""
        found = [
            (away, PRECEDENCE.index(entry.kind), number, entry)
            for number, (away, entry) in enumerate(self.near(plate))
            if entry.counts(camera, at)
        ]
        if not found:
            return None
        entry = min(found)[-1]
        return ListMatch(entry.name, entry.kind, edit_distance(plate, entry.plate))

    def near(self, plate: str) -> Iterator[tuple[float, Entry]]:
        """The entries that a plate fits, wherever and whenever they count, and how far they are."""
        for entry in self._possible(plate):
            away = distance(plate, entry.plate, at_most=self.max_distance)
            if away <= self.max_distance:
                yield away, entry

    def _possible(self, plate: str) -> Iterator[Entry]:
        """Those that are worth a look, of thousands, in their order."""
        folded = plate.translate(FOLDED)
        ends = range(len(folded) + 1)
        parts = {folded[start:end] for end in ends for start in range(end + 1)}
        numbers = set().union(*(self._by_piece.get(part, ()) for part in parts))
        return (self.entries[number] for number in sorted(numbers))


def distance(a: str, b: str, *, at_most: float = float("inf")) -> float:
    """Levenshtein distance in which look-alikes (O and 0, B and 8, ...) cost `LOOK_ALIKE`.

    Infinite as soon as it is clear that it is more than `at_most`.
    """
    if a == b:
        return 0.0
    row = [float(j) for j in range(len(b) + 1)]
    for i, left in enumerate(a, 1):
        diagonal, row[0] = row[0], float(i)
        for j, right in enumerate(b, 1):
            exchanged = diagonal + _exchange(left, right)
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, exchanged)
        if min(row) > at_most:
            return float("inf")
    return row[-1]


def _exchange(left: str, right: str) -> float:
    if left == right:
        return 0.0
    return LOOK_ALIKE if (left, right) in ALIKE else 1.0


def parse_entries(text: str, source: object, cameras: Collection[str]) -> tuple[Entry, ...]:
    """The entries of a file.

    Args:
        text: Its content.
        source: Its path, for errors.
        cameras: Those that there are.

    Raises:
        ConfigError: It is no such file; names the source, the line and the reason.
    """
    rows = _rows(text, source)
    line, header = next(rows, (1, []))
    columns = [name.lower() for name in header]
    try:
        _check_columns(columns)
        entries = []
        for number, row in rows:
            line = number
            entries.append(_entry(_cells(columns, row), cameras))
    except ValueError as error:
        raise ConfigError(f"{source}: line {line}", error) from error
    return tuple(entries)


def _rows(text: str, source: object) -> Iterator[tuple[int, list[str]]]:
    """Rows that are neither empty nor a comment, each with its first line's number, from 1."""
    written = io.StringIO(text.removeprefix("\ufeff"), newline="")
    lines = ["\n" if line.startswith("#") else line for line in written]
    first = next((line for line in lines if line.strip()), "")
    separator = max(SEPARATORS, key=first.count)
    reader = csv.reader(lines, delimiter=separator, strict=True)
    line = 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise ConfigError(f"{source}: line {line}", f"is not CSV: {error}") from error


def _check_columns(columns: list[str]) -> None:
    for column in columns:
        if column not in COLUMNS:
            raise ValueError(f"unknown column {column!r}; the first row names {','.join(COLUMNS)}")
        if columns.count(column) > 1:
            raise ValueError(f"column {column} is there twice")
    for column in REQUIRED:
        if column not in columns:
            raise ValueError(f"no column {column}; the first row names {','.join(COLUMNS)}")


def _cells(columns: list[str], row: list[str]) -> dict[str, str]:
    if any(row[len(columns) :]):
        raise ValueError(f"{len(row)} cells, but the first row names {len(columns)} columns")
    return dict.fromkeys(COLUMNS, "") | dict(zip(columns, row, strict=False))


def _entry(cells: dict[str, str], cameras: Collection[str]) -> Entry:
    entry = Entry(
        plate=_plate(cells["plate"]),
        kind=_kind(cells["list"]),
        name=cells["name"] or cells["plate"],
        note=cells["note"],
        valid_from=_moment("valid_from", cells["valid_from"], time.min),
        valid_to=_moment("valid_to", cells["valid_to"], time.max),
        cameras=frozenset(cells["cameras"].split()),
    )
    if entry.valid_from and entry.valid_to and entry.valid_to < entry.valid_from:
        raise ValueError("valid_to is before valid_from")
    if unknown := sorted(entry.cameras - set(cameras)):
        raise ValueError(f"cameras: there is no {unknown[0]!r}; known: {' '.join(cameras)}")
    return entry


def compact(text: str) -> str:
    """A plate as people write it, without its gaps."""
    return GAPS.sub("", text).upper()


def _plate(text: str) -> str:
    plate = compact(text)
    if not plate or not set(plate) <= set(CHARSET):
        raise ValueError(f"plate: {text!r} is not of the letters A to Z and digits")
    return plate


def _kind(text: str) -> ListKind:
    for kind in get_args(ListKind):
        if text.lower() == kind:
            return kind  # type: ignore[no-any-return]
    raise ValueError(f"list: {text!r} is not one of {', '.join(get_args(ListKind))}")


def _moment(column: str, text: str, of_day: time) -> datetime | None:
    """A day, or a moment; one with a zone is brought to the local one."""
    if not text:
        return None
    try:
        with suppress(ValueError):
            return datetime.combine(date.fromisoformat(text), of_day)
        return datetime.fromisoformat(text).astimezone().replace(tzinfo=None)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{column}: {text!r} is not as 2026-11-24 or 2026-11-24T18:30") from error
