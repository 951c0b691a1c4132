"""Log files: a line for each event, as CSV or as JSON."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

from plateid.core.event_csv import HEADER, event_line
from plateid.core.records import OutboxEntry, PlateEvent
from plateid.errors import OutputError, os_errors_as

Redact = Callable[[PlateEvent], PlateEvent]
"""Returns what may be kept of an event."""


class LogFile:
    """A file that gets a line for each event; each opens it anew, so that logrotate may move it."""

    def __init__(self, path: Path, line: Callable[[PlateEvent], str], header: str = "") -> None:
        """Writes nothing yet; `line` gives the line of an event, `header` starts an empty file."""
        self._path = path
        self._line = line
        self._header = header

    def deliver(self, entry: OutboxEntry) -> bool:
        """Appends a whole event, flushed to the disk, or nothing; raises OutputError."""
        with os_errors_as(OutputError, self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a+b", buffering=0) as file:
                _append(file, self._line(entry.event), self._header)
        return True


def csv_file(path: Path, redact: Redact) -> LogFile:
    """Returns a log file with a header line and a row for each event."""
    return LogFile(path, lambda event: event_line(json.loads(redact(event).to_json())), HEADER)


def jsonl_file(path: Path, redact: Redact) -> LogFile:
    """Returns a log file with a JSON object for each event, in the schema of published events."""
    return LogFile(path, lambda event: redact(event).to_json())


def _append(file: io.FileIO, line: str, header: str) -> None:
    """Appends a line below the last whole one: a power cut may have left a part of a line."""
    before = file.seek(0, os.SEEK_END)
    text = f"{line}\n" if before or not header else f"{header}\n{line}\n"
    if before:
        file.seek(-1, os.SEEK_END)
        text = text if file.read(1) == b"\n" else f"\n{text}"
    data = text.encode()
    try:
        while data:  # if the disk is full in the middle, the next write fails
            data = data[file.write(data) :]
        os.fsync(file.fileno())
    except OSError:
        file.truncate(before)
        raise
