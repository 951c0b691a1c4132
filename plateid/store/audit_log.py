"""The audit log: who changed what, and the values before and after.

It is a file of JSON lines beside the store, which the service and the command line append to.
"""

import json
import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from plateid.core.clock import CLOCK
from plateid.core.event_csv import csv_line
from plateid.core.lists import compact
from plateid.core.records import rfc3339
from plateid.errors import StoreError, os_errors_as
from plateid.files import give_to_owner_of_folder, replace_text

Entry = dict[str, str]
COLUMNS = ("at", "user", "address", "change", "details", "before", "after")
START = '{"at": "'
"""Start of an entry, also of one that follows an incomplete one on its line."""
MAX_AGE_S = 365 * 86_400.0
"""Age at which an entry is deleted, seconds."""
MAX_BYTES = 10_000_000
"""Maximum size of the file; beyond it, the older half goes."""
MAX_LINES = 50
"""Maximum number of lines of a list that an entry holds; an import may change 100,000."""
WRITING = threading.Lock()
"""Held while a thread of this process writes."""


class AuditLog:
    """The audit log of a store. Each method may raise StoreError."""

    def __init__(self, store: Path) -> None:
        self.file = store.with_name(f"{store.name}.audit")

    def add(self, user: str, change: str, **values: str) -> None:
        """Appends an entry; `values` are those of the other columns."""
        entry = dict.fromkeys(COLUMNS, "") | values
        entry |= {"at": rfc3339(datetime.now(UTC)), "user": user, "change": change}
        with WRITING, os_errors_as(StoreError, self.file):
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
            descriptor = os.open(self.file, flags, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as stream:
                give_to_owner_of_folder(self.file)
                stream.write(_line(entry))
                is_large = stream.tell() > 2 * MAX_BYTES
        if is_large:
            self.trim()

    def find(self, text: str = "") -> list[Entry]:
        """Returns the entries that contain a text in any column, newest first."""
        wanted = text.casefold()
        found = (each for each in self._entries() if wanted in " ".join(each.values()).casefold())
        return list(found)[::-1]

    def trim(self) -> None:
        """Deletes old entries, and the older half of a file that is too large."""
        oldest = rfc3339(datetime.fromtimestamp(CLOCK.ago(MAX_AGE_S), UTC))
        with WRITING:
            entries = self._entries()
            kept = [entry for entry in entries if entry["at"] >= oldest]
            if sum(map(len, map(_line, kept))) > MAX_BYTES:
                kept = kept[len(kept) // 2 :]
            if len(kept) < len(entries):
                self._replace(kept)

    def forget(self, *plates: str) -> None:
        """Deletes what entries say of plates, which are given without gaps, and what is no entry.

        An incomplete line may hold a part of a plate.
        """
        with WRITING:
            if self.file.exists():
                self._replace([_without(entry, plates) for entry in self._entries()])

    def _entries(self) -> list[Entry]:
        """Returns all complete entries, also of damaged columns; a power cut may leave others."""
        try:
            with os_errors_as(StoreError, self.file):
                lines = self.file.read_text("utf-8", errors="replace").splitlines()
        except StoreError:
            if self.file.exists():
                raise
            return []
        entries = []
        for line in lines:
            with suppress(ValueError):
                known = json.loads(line[line.rindex(START) :])
                entries.append({name: str(known.get(name, "")) for name in COLUMNS})
        return entries

    def _replace(self, entries: list[Entry]) -> None:
        with os_errors_as(StoreError, self.file):
            text = "".join(map(_line, entries))
            replace_text(self.file, text, mode=0o600, first=give_to_owner_of_folder)


def _line(entry: Entry) -> str:
    return json.dumps(entry) + "\n"


def _without(entry: Entry, plates: tuple[str, ...]) -> Entry:
    text = compact(" ".join(entry.values()))
    is_named = any(plate in text for plate in plates)
    return entry | dict.fromkeys(("details", "before", "after"), "purged") if is_named else entry


def differing_lines(before: str, after: str) -> tuple[str, str]:
    """Returns the lines that only one of two texts has, at most `MAX_LINES` of each."""
    old, new = Counter(before.splitlines()), Counter(after.splitlines())
    return _first(old - new), _first(new - old)


def _first(lines: Counter[str]) -> str:
    shown = list(lines.elements())
    more = [f"and {len(shown) - MAX_LINES} more"] if len(shown) > MAX_LINES else []
    return "\n".join(shown[:MAX_LINES] + more)


def csv_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """Yields a header line, and a row for each entry (RFC 4180)."""
    for cells in (COLUMNS, *([entry[name] for name in COLUMNS] for entry in entries)):
        yield f"{csv_line(cells)}\r\n"
