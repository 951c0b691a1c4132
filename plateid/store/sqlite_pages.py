"""Reads rows of every intact page, without a schema (https://sqlite.org/fileformat2.html)."""

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

PAGE = 4096
"""Page size of every store, bytes: the default of SQLite."""
CHUNK = 256
"""Number of pages per read."""
MAX_PAYLOAD = 1 << 20
"""Largest plausible row, bytes."""
MAX_ROWID = (1 << 63) - 1
"""Largest row id."""
TABLE_LEAF, INDEX_LEAF, INDEX_INTERIOR = 13, 10, 2
"""Types of the pages that hold rows."""
NUMBERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
"""Length of an integer in bytes, by its serial type."""
Value = None | int | float | str | bytes
Row = tuple[Value, ...]


class Pages:
    """The pages of a store, each in its newest version: that of the write-ahead log, if any."""

    def __init__(self, file: BinaryIO, log: Path) -> None:
        self._file = file
        self._logged = dict(_logged_pages(log)) if log.exists() else {}
        self._count = os.fstat(file.fileno()).st_size // PAGE

    def __getitem__(self, number: int) -> bytes:
        """Returns a page, shorter if the file ends before."""
        return self._logged.get(number) or self._read(number, 1)

    def newest_first(self) -> Iterator[tuple[int, bytes]]:
        """Gives number and content of all pages, the newest pages first."""
        yield from ((number, page) for number, page in self._logged.items() if number > self._count)
        for start in range(self._count // CHUNK * CHUNK + 1, 0, -CHUNK):
            content = self._read(start, CHUNK)
            for number in range(start, min(start + CHUNK, self._count + 1)):
                place = (number - start) * PAGE
                yield number, self._logged.get(number) or content[place : place + PAGE]

    def rows(self, page: bytes, first: int = 0) -> Iterator[tuple[int, Row]]:
        """Gives row id (0 in an index) and columns of each row that can be read."""
        for place in _places(page, first):
            with suppress(IndexError, ValueError, struct.error):
                yield self._row(page, page[first], place)

    def row_ids(self, page: bytes) -> Iterator[int]:
        """Gives the row ids of a page of a table."""
        for place in _places(page, 0):
            with suppress(IndexError):
                yield _varint(page, _varint(page, place)[1])[0]

    def _row(self, page: bytes, kind: int, place: int) -> tuple[int, Row]:
        rowid, table = 0, kind == TABLE_LEAF
        size, place = _varint(page, place + 4 * (kind == INDEX_INTERIOR))
        if table:
            rowid, place = _varint(page, place)
        if size > MAX_PAYLOAD or rowid > MAX_ROWID:
            raise ValueError(size)
        most = PAGE - 35 if table else (PAGE - 12) * 64 // 255 - 23
        if size <= most:
            return rowid, _columns(page[place : place + size])
        least = (PAGE - 12) * 32 // 255 - 23
        local = least + (size - least) % (PAGE - 4)
        local = local if local <= most else least
        content = page[place : place + local]
        (more,) = struct.unpack_from(">I", page, place + local)
        while len(content) < size:
            page = self[more]
            (more,) = struct.unpack_from(">I", page)
            content += page[4 : 4 + size - len(content)]
        return rowid, _columns(content)

    def _read(self, number: int, count: int) -> bytes:
        try:
            return os.pread(self._file.fileno(), count * PAGE, (number - 1) * PAGE)
        except OSError:  # a bad sector
            return b""


def _places(page: bytes, first: int) -> Iterator[int]:
    """Gives the places of the rows of a page; none if it holds no rows."""
    if len(page) == PAGE and page[first] in (TABLE_LEAF, INDEX_LEAF, INDEX_INTERIOR):
        head = first + (12 if page[first] == INDEX_INTERIOR else 8)
        count = min(int.from_bytes(page[first + 3 : first + 5]), (PAGE - head) // 2)
        yield from struct.unpack_from(f">{count}H", page, head)


def _varint(page: bytes, place: int) -> tuple[int, int]:
    """Returns a number of 1 to 9 bytes, and the place after it."""
    value = 0
    for place in range(place, place + 8):  # noqa: B020, PLR1704 - the place moves on
        value = value << 7 | page[place] & 0x7F
        if page[place] < 0x80:  # noqa: PLR2004 - the last byte of the number
            return value, place + 1
    return value << 8 | page[place + 1], place + 2


def _columns(record: bytes) -> Row:
    """Decodes a row. Raises ValueError or IndexError if it is damaged."""
    end, place = _varint(record, 0)
    columns, start = [], end
    while place < end:
        kind, place = _varint(record, place)
        length = NUMBERS.get(kind, 8 if kind == 7 else max(0, (kind - 12) // 2))  # noqa: PLR2004
        content = record[start : start + length]
        if len(content) < length:
            raise ValueError(kind)
        columns.append(_value(kind, content))
        start += length
    return tuple(columns)


def _value(kind: int, content: bytes) -> Value:
    match kind:
        case 0:
            return None
        case 7:
            return float(struct.unpack(">d", content)[0])
        case 8 | 9:
            return kind - 8
        case _ if kind in NUMBERS:
            return int.from_bytes(content, signed=True)
        case _:
            return content.decode() if kind % 2 else content


def _logged_pages(log: Path) -> Iterator[tuple[int, bytes]]:
    """Gives the pages of the committed transactions of a write-ahead log, oldest first."""
    head, frame = 32, 24 + PAGE
    content = log.read_bytes()
    salt, waiting = content[16:24], []
    for place in range(head, len(content) - frame + 1, frame):
        number, size = struct.unpack_from(">II", content, place)
        if content[place + 8 : place + 16] != salt:  # of an earlier log
            break
        waiting.append((number, content[place + 24 : place + frame]))
        if size:
            yield from waiting
            waiting = []
