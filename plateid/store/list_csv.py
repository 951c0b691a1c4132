"""The CSV file of the lists, as spreadsheets write it: parsed, and edited row by row."""

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, time
from typing import get_args

from plateid.core.event_csv import without_formula
from plateid.core.lists import ListEntry, compact
from plateid.core.records import ListKind
from plateid.core.text import CHARSET
from plateid.errors import ConfigError

COLUMNS = ("plate", "list", "name", "note", "valid_from", "valid_to", "cameras")
REQUIRED = COLUMNS[:2]
"""Columns that a file must have."""
EMPTY = dict.fromkeys(COLUMNS, "")
"""All columns without values; cells of a row replace them."""
SEPARATORS = ",;\t"
"""Characters that may separate cells; the most frequent one of the first line counts."""
BOM = "\ufeff"
"""Byte-order mark, which spreadsheets write before the first line."""
MAX_ENTRIES = 100_000
"""Maximum number of entries. A Raspberry Pi reads 100,000 in a few seconds, into 100 MB."""
MAX_CELL = 500
"""Maximum length of a cell that the web UI writes, characters."""
LINE_BREAK = re.compile(r"[\r\n\x00]")
"""Characters that no cell may have."""


def parse_entries(text: str, source: object, cameras: Collection[str]) -> tuple[ListEntry, ...]:
    """Returns the entries of a CSV text; raises ConfigError with `source`, line and reason."""
    return tuple(entry for _, entry in numbered_entries(text, source, cameras))


def numbered_entries(
    text: str, source: object, cameras: Collection[str]
) -> list[tuple[int, ListEntry]]:
    """Returns the entries, each with the number of its line (from 1); raises as above."""
    rows = _rows(text, source)
    line, header = next(rows, (1, []))
    columns = [name.lower() for name in header]
    try:
        _check_columns(columns)
        entries = []
        for number, row in rows:
            line = number
            entries.append((number, entry_of(_by_column(columns, row), cameras)))
    except ValueError as error:
        raise ConfigError(f"{source}: line {line}", error) from error
    if len(entries) > MAX_ENTRIES:
        raise ConfigError(source, f"has {len(entries)} entries, the maximum is {MAX_ENTRIES}")
    return entries


def _rows(text: str, source: object) -> Iterator[tuple[int, list[str]]]:
    """Yields each row that is neither empty nor a comment, with its first line number."""
    written = io.StringIO(text.removeprefix(BOM), newline="")
    lines = ["\n" if line.startswith("#") else line for line in written]
    reader = csv.reader(lines, delimiter=_separator(lines), strict=True)
    line = 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise ConfigError(f"{source}: line {line}", f"is not CSV: {error}") from error


def _separator(lines: Sequence[str]) -> str:
    """Returns the separator that the first row has most often."""
    first = next(filter(_is_row, lines), ",")
    return max(SEPARATORS, key=first.count)


def _is_row(line: str) -> bool:
    """Returns whether a line is neither empty nor a comment."""
    return bool(line.strip()) and not line.removeprefix(BOM).startswith("#")


def _check_columns(columns: list[str]) -> None:
    for column in columns:
        if column not in COLUMNS:
            raise ValueError(f"unknown column {column!r}; the first row names {','.join(COLUMNS)}")
        if columns.count(column) > 1:
            raise ValueError(f"column {column} is there twice")
    for column in REQUIRED:
        if column not in columns:
            raise ValueError(f"no column {column}; the first row names {','.join(COLUMNS)}")


def _by_column(columns: list[str], row: list[str]) -> dict[str, str]:
    if any(row[len(columns) :]):
        raise ValueError(f"{len(row)} cells, but the first row names {len(columns)} columns")
    return EMPTY | dict(zip(columns, row, strict=False))


def entry_of(cells: Mapping[str, str], cameras: Collection[str]) -> ListEntry:
    """Returns the entry of a row, by column; raises ValueError if a cell is invalid."""
    entry = ListEntry(
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
    """Parses a day, or a time, which is converted to local time if it has a zone."""
    if not text:
        return None
    try:
        with suppress(ValueError):
            return datetime.combine(date.fromisoformat(text), of_day)
        return datetime.fromisoformat(text).astimezone().replace(tzinfo=None)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{column}: {text!r} is not as 2026-11-24 or 2026-11-24T18:30") from error


def day_and_time(text: str) -> tuple[str, str]:
    """Splits the cell of a moment for the pickers of a page; an invalid one stays as it is."""
    with suppress(ValueError):
        if len(text) > len("2026-11-24") and (moment := _moment("", text, time.min)):
            return moment.date().isoformat(), moment.time().isoformat()
    return text, ""


def rows_of(text: str) -> dict[int, dict[str, str]]:
    """Returns the cells of each entry by line (from 0); raises ValueError for a multi-line cell."""
    lines = lines_of(text)
    separator = _separator(lines)
    numbers = [number for number, line in enumerate(lines) if _is_row(line)]
    cells = [_cells(lines[number], separator) for number in numbers]
    columns = [name.lower() for name in cells[0]] if cells else []
    return {
        number: EMPTY | dict(zip(columns, row, strict=False))
        for number, row in zip(numbers[1:], cells[1:], strict=True)
        if any(row)
    }


def with_rows(text: str, changes: Sequence[tuple[int | None, Mapping[str, str]]]) -> str:
    """Returns the file with lines replaced, or appended (None); raises ValueError for bad cells."""
    for _, cells in changes:
        _check_cells(cells)
    lines = lines_of(text)
    separator = _separator(lines)
    needed = [key for key in COLUMNS if any(cells.get(key) for _, cells in changes)]
    columns = _add_columns(lines, needed)
    for number, cells in changes:
        line = _line([cells.get(column, "") for column in columns], separator)
        if number is None:
            lines.append(line)
        else:
            lines[number] = line
    return "\n".join(lines) + "\n"


def _check_cells(cells: Mapping[str, str]) -> None:
    if not cells.get("plate"):
        raise ValueError("plate: must not be empty")
    if any(LINE_BREAK.search(cell) for cell in cells.values()):
        raise ValueError("a cell is one line")
    if longest := next((key for key, cell in cells.items() if len(cell) > MAX_CELL), None):
        raise ValueError(f"{longest}: must have {MAX_CELL} or fewer characters")


def with_file(text: str, added: str) -> str:
    """Returns the file with another's rows, each replacing that of its plate; raises ValueError."""
    known = {key_of(row): number for number, row in reversed(rows_of(text).items())}
    rows = [
        {name: cell[_is_escaped(cell) :] for name, cell in row.items()}
        for row in rows_of(added).values()
    ]
    return with_rows(text, [(known.pop(key_of(row), None), row) for row in rows])


def export_text(text: str) -> str:
    """Returns all columns of the rows; a quote is before what spreadsheets take for formulas."""
    rows = rows_of(text).values()
    escaped = ({name: str(without_formula(cell)) for name, cell in row.items()} for row in rows)
    return with_rows(",".join(COLUMNS), [(None, row) for row in escaped])


def _is_escaped(cell: str) -> bool:
    return cell.startswith("'") and without_formula(cell[1:]) == cell


def key_of(cells: Mapping[str, str]) -> tuple[str, str]:
    """Returns plate and list of a row, by which an entry is replaced."""
    return compact(cells["plate"]), cells["list"].lower()


def without_row(text: str, number: int) -> str:
    """Returns the file without one line."""
    lines = lines_of(text)
    del lines[number]
    return "\n".join(lines) + "\n"


def _add_columns(lines: list[str], needed: Sequence[str]) -> list[str]:
    """Adds missing columns to the header among the lines, and returns all columns."""
    head = next((number for number, line in enumerate(lines) if _is_row(line)), None)
    if head is None:
        lines.append(",".join(COLUMNS))
        return list(COLUMNS)
    separator = _separator(lines)
    names = _cells(lines[head], separator)
    columns = [name.lower() for name in names]
    if missing := [column for column in needed if column not in columns]:
        lines[head] = _line([*names, *missing], separator)
    return [*columns, *missing]


def lines_of(text: str) -> list[str]:
    """Splits at line breaks only: a note may hold other characters that `splitlines` splits at."""
    return [line.rstrip("\n") for line in io.StringIO(text, newline=None)]


def _cells(line: str, separator: str) -> list[str]:
    try:
        rows = list(csv.reader([line.removeprefix(BOM)], delimiter=separator, strict=True))
    except csv.Error as error:
        raise ValueError("a cell has several lines: use a spreadsheet") from error
    return [cell.strip() for cell in rows[0]] if rows else []


def _line(cells: Sequence[str], separator: str) -> str:
    written = io.StringIO()
    csv.writer(written, delimiter=separator, lineterminator="").writerow(cells)
    line = written.getvalue()
    return f'"{cells[0]}"{line[len(cells[0]) :]}' if line.startswith("#") else line
