"""Events as lines of a file, written as they happen: CSV for spreadsheets, JSON for programs."""

import functools
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plateid.core.csv_cells import csv_line
from plateid.errors import SinkError
from plateid.store.queues import Queued

COLUMNS = {
    "event_type": "event_type",
    "first_seen": "first_seen",
    "last_seen": "last_seen",
    "device": "device",
    "camera": "camera",
    "plate": "plate",
    "plate_display": "plate_display",
    "confidence": "confidence",
    "region": "region.code",
    "list": "list.kind",
    "list_name": "list.name",
    "list_distance": "list.distance",
    "direction": "direction.way",
    "dwell_s": "dwell_s",
    "parked": "parked",
    "lat": "gps.lat",
    "lon": "gps.lon",
    "pass_id": "pass_id",
    "id": "id",
}
"""Columns of the CSV file, and where an event has what stands in them."""


class LogFile:
    """One file; opened anew for each event, so that it may be moved away at any time."""

    def __init__(self, path: Path, line: Callable[[str], str], header: str = "") -> None:
        """Writes nothing yet.

        Args:
            path: The file; it and its folder are created when missing.
            line: Makes an event's line, without its end, of the event's JSON.
            header: The first line of an empty file.
        """
        self._path = path
        self._line = line
        self._header = header

    def deliver(self, queued: Queued) -> bool:
        """Appends an event, on disk when this returns; or all of its line or nothing.

        Raises:
            SinkError: The file cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a+b", buffering=0) as file:
                _append(file, self._line(queued.payload), self._header)
        except OSError as error:
            raise SinkError(self._path, error.strerror) from error
        return True


def csv_file(path: Path) -> LogFile:
    """A row for each event, below a row of names."""
    return LogFile(path, _csv_line, csv_line(COLUMNS, end=""))


def jsonl_file(path: Path) -> LogFile:
    """The JSON object of each event, as it is published."""
    return LogFile(path, lambda payload: payload)


def _append(file: io.FileIO, line: str, header: str) -> None:
    """Below the last whole line: a loss of power may have left a part of one."""
    before = file.seek(0, os.SEEK_END)
    text = line + "\n" if before else (header + "\n" if header else "") + line + "\n"
    if before and _last_byte(file) != b"\n":
        text = "\n" + text
    try:
        _write(file, text.encode())
    except OSError:
        file.truncate(before)
        raise


def _write(file: io.FileIO, data: bytes) -> None:
    """All of it; a disk that becomes full in the middle says so at the second try."""
    while data:
        data = data[file.write(data) :]
    os.fsync(file.fileno())


def _last_byte(file: io.FileIO) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)


def _csv_line(payload: str) -> str:
    event = json.loads(payload)
    cells = (functools.reduce(_part, path.split("."), event) for path in COLUMNS.values())
    return csv_line(cells, end="")


def _part(value: Any, key: str) -> Any:
    return value and value[key]
