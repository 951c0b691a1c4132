"""What a campaign notes for the oracle. All times are seconds since the start of the campaign."""

import json
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SAMPLE_S = 1.0
"""Time between two looks at the waiting times of the service's threads, seconds."""
BUSY_S = 0.7
"""Waiting time of one thread for a core at which the machine is too busy, seconds."""
STORED = """
    SELECT payload, EXISTS (SELECT 1 FROM delivery WHERE delivery.position = event.position)
    FROM event"""


@dataclass(frozen=True)
class Window:
    """The time of a fault; `camera` is empty if it concerns all cameras."""

    kind: str
    camera: str
    begin: float
    end: float


@dataclass(frozen=True)
class Line:
    """A log line of the service about a camera: an event, or `camera online` and its opposites."""

    at: float
    run: int
    event: str
    camera: str
    plate: str


@dataclass(frozen=True)
class End:
    """The end of a run of the service; `asked` if the campaign ended it."""

    at: float
    run: int
    code: int
    asked: bool

    @property
    def orderly(self) -> bool:
        return self.asked and self.code == 0


@dataclass(frozen=True)
class Received:
    at: float
    payload: bytes
    event: dict[str, Any]


@dataclass
class Record:
    """Everything that happened; every method may be called from any thread.

    `torn` are the passes that lost an event with a damaged page.
    """

    began: float = field(default_factory=time.monotonic)
    windows: list[Window] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)
    excused: dict[str, dict[str, Any]] = field(default_factory=dict)
    torn: set[str] = field(default_factory=set)
    is_damaged: bool = False
    _held: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    active: list[str] = field(default_factory=list)

    @property
    def now(self) -> float:
        return time.monotonic() - self.began

    @contextmanager
    def window(self, kind: str, camera: str = "") -> Iterator[None]:
        """Notes the time of a fault."""
        begin = self.now
        self.active.append(f"{kind} {camera}".strip())
        try:
            yield
        finally:
            self.active.remove(f"{kind} {camera}".strip())
            self.windows.append(Window(kind, camera, begin, self.now))

    def take(self, payload: bytes) -> None:
        """Notes a message of the broker."""
        self.received.append(Received(self.now, payload, json.loads(payload)))

    def take_store(self, path: Path) -> dict[str, dict[str, Any]] | None:
        """Notes the events in the store of a stopped service; returns those not acknowledged.

        None: it is still damaged, because the service was stopped before it opened the store.
        """
        try:
            rows = [(json.loads(text), waits) for text, waits in copied_rows(path, STORED)]
        except sqlite3.Error as error:
            if not self.is_damaged:
                self.problems.append(f"{self.now:.1f} s: the store of a stopped service: {error}")
            return None
        found = {event["id"]: event for event, _ in rows}
        gone = [self.stored[key] for key in self._held - found.keys()]
        self.torn |= {event["pass_id"] for event in gone}
        if gone and not self.is_damaged:
            self.problems.append(f"{self.now:.1f} s: {len(gone)} events left the store")
        self.stored |= found
        self._held, self.is_damaged = set(found), False
        return {event["id"]: event for event, waits in rows if waits}

    def watch_machine(self, pid: Callable[[], int], stopped: threading.Event) -> None:
        """Notes when a thread of the service had to wait for a core, until `stopped`."""
        began, before = self.now, waits_s(pid())
        while not stopped.wait(SAMPLE_S):
            after = waits_s(pid())
            if any(wait_s - before.get(task, 0.0) > BUSY_S for task, wait_s in after.items()):
                self.windows.append(Window("machine", "", began, self.now))
            began, before = self.now, after


def waits_s(pid: int) -> dict[str, float]:
    """Returns how long each thread of a process has waited for a core, seconds."""
    waits = {}
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                waits[task.name] = int((task / "schedstat").read_text().split()[1]) / 1e9
    return waits


def copied_rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Returns the rows of a copy of a store, which may need recovery."""
    if not path.exists():
        return []
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("", "-wal"):
            file = path.with_name(path.name + suffix)
            if file.exists():
                shutil.copy(file, Path(folder) / file.name)
        with closing(sqlite3.connect(Path(folder) / path.name)) as db:
            return db.execute(query).fetchall()
