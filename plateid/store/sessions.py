"""Sessions: which vehicles are inside, since when, and which have left. They have an own file."""

import json
import re
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from plateid.backoff import Backoff, Outage
from plateid.config.service import OccupancyConfig
from plateid.config.storage import DAY_S
from plateid.core.clock import CLOCK
from plateid.core.ids import uuid7
from plateid.core.lists import distance
from plateid.core.records import PlateEvent, Way, rfc3339
from plateid.errors import StoreError
from plateid.store.privacy import HASH_DIGITS, Privacy
from plateid.store.side_file import SideFile

MAX_EXIT_DISTANCE = 1.0
"""Maximum distance between the plates of entry and exit: an edit, or four confusable characters."""
MAX_ENTRY_DISTANCE = 0.5
"""The same for two entries without an exit between them: neighbours in a fleet differ by 1."""
MAX_NAMES = 100
"""Maximum number of names in the report, as many as Home Assistant gets entities for."""
MAX_WAITING = 1000
"""Maximum number of events that wait while the disk fails."""
NO_EXIT = "no exit seen"
"""`exit_id` of a session that ended by its age."""
HASH = re.compile(rf"[0-9A-F]{{{HASH_DIGITS}}}")


@dataclass(frozen=True)
class Session:
    """The stay of a vehicle."""

    id: str  # `pass_id` of the entry, or an id of its own
    plate: str  # as `[privacy]` keeps it; empty: unknown
    name: str  # of the list entry, if there is one
    camera: str  # of the entry; empty: entered by hand
    entered_at: str  # RFC 3339
    left_at: str = ""  # RFC 3339; empty: inside
    exit_id: str = ""  # `pass_id` of the exit, if a camera saw it, or `NO_EXIT`


COLUMNS = ", ".join(field.name for field in fields(Session))
LAYOUT = f"""
    CREATE TABLE IF NOT EXISTS session ({COLUMNS.replace(",", " TEXT NOT NULL,")} TEXT NOT NULL,
        PRIMARY KEY (id)) STRICT"""
INSIDE = "left_at = ''"


class Sessions:
    """The sessions of a store. May be used from any thread. Each method may raise StoreError."""

    def __init__(self, store: Path, config: OccupancyConfig | None = None) -> None:
        self._config = config or OccupancyConfig()
        self._file = SideFile(store, "sessions", LAYOUT)

    def note(self, event: PlateEvent) -> None:
        """Notes the entry or exit of an event, replacing that of an earlier event of the pass."""
        way, id_ = self._way(event), event.pass_id
        name = event.list.name if event.list else ""
        made = Session(id_, event.plate, name, event.camera, rfc3339(event.first_seen))
        with self._opened() as db:
            (own, *_), exits = [*_select(db, "id = ?", id_), None], _select(db, "exit_id = ?", id_)
            inside = _select(db, f"{INSIDE} AND id <> ?", id_)
            if way != "out":
                back = [
                    replace(each, left_at="", exit_id="")
                    for each in exits
                    if not _nearest(inside, each, MAX_ENTRY_DISTANCE)
                ]
                _store(db, *back)
                inside += back
            if way == "in":
                entry = replace(own, plate=made.plate, name=name) if own else made
                missed = [] if entry.left_at else _nearest(inside, made, MAX_ENTRY_DISTANCE)
                _store(db, *(replace(each, left_at=made.entered_at) for each in missed), entry)
            else:
                db.execute("DELETE FROM session WHERE id = ?", (id_,))
            if way == "out" and not exits:
                unknown = [each for each in inside if not each.plate][:1]
                left = _nearest(inside, made, MAX_EXIT_DISTANCE) or unknown
                left_at = rfc3339(event.last_seen)
                _store(db, *(replace(each, left_at=left_at, exit_id=id_) for each in left))

    def inside(self) -> list[Session]:
        """Returns the sessions of vehicles that are inside, the longest first."""
        with self._opened() as db:
            return _select(db, INSIDE)

    def all(self) -> list[Session]:
        """Returns all sessions, the oldest first."""
        with self._opened() as db:
            return _select(db, "TRUE")

    def add(self, plate: str, name: str) -> str:
        """Adds a vehicle by hand; returns the id of its session."""
        with self._opened() as db:
            added = Session(uuid7(), plate, name, "", rfc3339(datetime.now(UTC)))
            _store(db, added)
            return added.id

    def end(self, id_: str) -> str:
        """Notes by hand that a vehicle has left; returns the id, or nothing if it had before."""
        with self._opened() as db:
            ended = _select(db, f"id = ? AND {INSIDE}", id_)
            _store(db, *(replace(each, left_at=rfc3339(datetime.now(UTC))) for each in ended))
            return id_ if ended else ""

    def end_old(self) -> None:
        """Ends the sessions that began `max_days` ago: the exit was missed."""
        limit = datetime.fromtimestamp(CLOCK.ago(self._config.max_days * DAY_S), UTC)
        with self._opened() as db:
            old = _select(db, f"{INSIDE} AND entered_at < ?", rfc3339(limit))
            left_at = rfc3339(datetime.now(UTC))
            _store(db, *(replace(each, left_at=left_at, exit_id=NO_EXIT) for each in old))

    def report(self) -> dict[str, Any]:
        """Returns the occupancy, and since when vehicles with a name are inside."""
        inside, capacity = self.inside(), self._config.capacity
        named = {each.name: each.entered_at for each in reversed(inside) if each.name}
        return {
            "inside": len(inside),
            "capacity": capacity,
            "free": None if capacity is None else max(0, capacity - len(inside)),
            "listed": dict(sorted(named.items())[:MAX_NAMES]),
        }

    def _way(self, event: PlateEvent) -> Way | None:
        if event.camera in self._config.entry:
            return "in"
        if event.camera in self._config.exit:
            return "out"
        return event.direction.way if event.direction else None

    def delete(self, is_gone: Callable[[Session], bool]) -> None:
        """Deletes sessions for which `is_gone` returns true."""
        if self._file.path.exists():
            with self._opened() as db:
                gone = [(each.id,) for each in _select(db, "TRUE") if is_gone(each)]
                db.executemany("DELETE FROM session WHERE id = ?", gone)

    def redact(self, privacy: Privacy) -> None:
        """Hashes or drops plates that `[privacy]` no longer keeps."""
        if self._file.path.exists():
            with self._opened() as db:
                for each in _select(db, "TRUE"):
                    plate = privacy.plate(each.plate, listed=bool(each.name))
                    if plate != each.plate and not HASH.fullmatch(each.plate):
                        _store(db, replace(each, plate=plate, name=""))

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """Gives a connection; its changes are made all together or not at all."""
        with self._file.opened() as db:
            db.execute("BEGIN IMMEDIATE")
            yield db


def _select(db: sqlite3.Connection, condition: str, *values: str) -> list[Session]:
    query = f"SELECT {COLUMNS} FROM session WHERE {condition} ORDER BY entered_at"  # noqa: S608 - constants
    return [Session(*row) for row in db.execute(query, values)]


def _store(db: sqlite3.Connection, *sessions: Session) -> None:
    places = ", ".join("?" * len(fields(Session)))
    rows = map(astuple, sessions)
    db.executemany(f"INSERT OR REPLACE INTO session VALUES ({places})", rows)  # noqa: S608 - constants


def _nearest(sessions: list[Session], seen: Session, at_most: float) -> list[Session]:
    """Returns the session of the vehicle that was seen, or none; list entries must not differ."""
    found = [
        (apart, each.entered_at, each)
        for each in sessions
        if seen.plate
        and (apart := distance(seen.plate, each.plate, at_most=at_most)) <= at_most
        and (not seen.name or not each.name or seen.name == each.name)
    ]
    return [min(found, key=lambda one: one[:2])[-1]] if found else []


class Occupancy:
    """Notes events in the sessions, in order, if `[occupancy]` is on. Thread-safe."""

    def __init__(
        self, config: OccupancyConfig, store: Path, publish: Callable[[str], None]
    ) -> None:
        """`publish` gets the report as JSON, after each change and each check."""
        self._enabled = config.enabled
        self._sessions = Sessions(store, config)
        self._publish = publish
        self._waiting: deque[PlateEvent] = deque(maxlen=MAX_WAITING)
        self._outage = Outage("occupancy", Backoff())
        self._lock = threading.Lock()

    def accept(self, event: PlateEvent) -> None:
        """Notes an event, as `[privacy]` allows to store it."""
        if self._enabled:
            self._waiting.append(event)
            self.check()

    def check(self) -> None:
        """Notes waiting events. Call it periodically: the web UI may have corrected a session."""
        if not self._enabled:
            return
        with self._lock, self._outage.noted(StoreError):
            while self._waiting:
                self._sessions.note(self._waiting[0])
                self._waiting.popleft()
            self._sessions.end_old()
            self._publish(json.dumps(self._sessions.report(), ensure_ascii=False))
