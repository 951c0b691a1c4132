"""The file of lists, changed a row at a time: all else in it stays as somebody wrote it."""

import csv
import hashlib
import io
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from plateid.core.lists import COLUMNS, SEPARATORS, Entry, parse_entries
from plateid.errors import ConfigError, reason_of
from plateid.files import replace_text

MAX_UNDO = 50
LINE_BREAK = re.compile(r"[\r\n\x00]")


@dataclass(frozen=True)
class Row:
    """One entry, as it is written.

    Attributes:
        number: Of its line, from 0.
        cells: By column; those that the file does not have are empty.
    """

    number: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """What was done, and what the file was before and after."""

    words: str
    before: str
    after: str


def read_text(file: Path) -> str:
    """The file as text; that of an empty list where there is none yet.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        return file.read_bytes().decode()
    except FileNotFoundError:
        return ",".join(COLUMNS) + "\n"
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(file, reason_of(error)) from error


def read_entries(file: Path | None, cameras: Sequence[str]) -> tuple[Entry, ...]:
    """The entries as they count; none where there is no file.

    Raises:
        ConfigError: It cannot be read, or is wrong.
    """
    return parse_entries(read_text(file), file, cameras) if file is not None else ()


def state_of(text: str) -> str:
    """Tells whether the file is still the one that somebody looked at."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def rows_of(text: str) -> list[Row]:
    """The entries of a file, each on a line of its own.

    Raises:
        ValueError: A cell goes over several lines: that is for a spreadsheet.
    """
    lines = _lines(text.removeprefix("\ufeff"))
    numbers = [number for number, line in enumerate(lines) if _counts(line)]
    if not numbers:
        return []
    separator = separator_of(text)
    tables = [_cells(lines[number], separator) for number in numbers]
    columns = [name.lower() for name in tables[0]]
    return [
        Row(number, dict.fromkeys(COLUMNS, "") | dict(zip(columns, cells, strict=False)))
        for number, cells in zip(numbers[1:], tables[1:], strict=True)
        if any(cells)
    ]


def separator_of(text: str) -> str:
    """What parts its cells, as `core.lists` finds it."""
    first = next(filter(_counts, _lines(text)), ",")
    return max(SEPARATORS, key=first.count)


def with_row(text: str, number: int | None, cells: Mapping[str, str]) -> str:
    """The file with one line replaced, or another one at its end; columns are added as needed.

    Raises:
        ValueError: A cell has a line break in it.
    """
    if any(LINE_BREAK.search(cell) for cell in cells.values()):
        raise ValueError("a cell is one line")
    text, columns = _with_columns(text, [key for key, cell in cells.items() if cell])
    line = _line([cells.get(column, "") for column in columns], separator_of(text))
    lines = _lines(text)
    if number is None:
        lines.append(line)
    else:
        lines[number] = line
    return "\n".join(lines) + "\n"


def without_row(text: str, number: int) -> str:
    """The file less one line."""
    lines = _lines(text)
    del lines[number]
    return "\n".join(lines) + "\n"


def write_text(file: Path, text: str, cameras: Sequence[str]) -> None:
    """Replaces the file, if it is right.

    Raises:
        ConfigError: It is not, or cannot be written; the old one stays.
    """
    parse_entries(text, file, cameras)
    try:
        replace_text(file.resolve(), text)  # of a link, what it leads to
    except OSError as error:
        raise ConfigError(file, error.strerror) from error


class Undo:
    """The last changes that were made on the page, until plateid ends."""

    def __init__(self) -> None:
        """No change yet."""
        self._changes: deque[Change] = deque(maxlen=MAX_UNDO)

    def add(self, change: Change) -> None:
        """A change was made."""
        self._changes.append(change)

    def last(self, text: str) -> Change | None:
        """What can be undone; nothing once somebody else has changed the file."""
        return self._changes[-1] if self._changes and self._changes[-1].after == text else None

    def drop(self) -> None:
        """The last one is undone."""
        self._changes.pop()


def _with_columns(text: str, needed: Sequence[str]) -> tuple[str, list[str]]:
    separator, lines = separator_of(text), _lines(text)
    heads = [number for number, line in enumerate(lines) if _counts(line)]
    if not heads:
        return text + ",".join(COLUMNS) + "\n", list(COLUMNS)
    names = _cells(lines[heads[0]].removeprefix("\ufeff"), separator)
    columns = [name.lower() for name in names]
    if missing := [column for column in needed if column not in columns]:
        lines[heads[0]] = _line([*names, *missing], separator)
    return "\n".join(lines) + "\n", [*columns, *missing]


def _counts(line: str) -> bool:
    """Whether it is neither empty nor a remark."""
    return bool(line.strip()) and not line.removeprefix("\ufeff").startswith("#")


def _lines(text: str) -> list[str]:
    """As files have them: other characters that part lines may be in a note."""
    return [line.rstrip("\n") for line in io.StringIO(text, newline=None)]


def _cells(line: str, separator: str) -> list[str]:
    try:
        rows = list(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error as error:
        raise ValueError("a cell goes over several lines: use a spreadsheet") from error
    return [cell.strip() for cell in rows[0]] if rows else []


def _line(cells: Sequence[str], separator: str) -> str:
    written = io.StringIO()
    csv.writer(written, delimiter=separator, lineterminator="").writerow(cells)
    line = written.getvalue()
    return f'"{cells[0]}"{line[len(cells[0]) :]}' if line.startswith("#") else line
