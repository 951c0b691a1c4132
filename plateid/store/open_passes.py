"""What goes on after a restart: the steady clock, and passes whose vehicles may still be there."""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog

from plateid.core.clock import CLOCK, SteadyClock
from plateid.core.ids import first_id
from plateid.core.records import PlateEvent
from plateid.errors import StoreError
from plateid.files import replace_text
from plateid.store.database import CorruptError, parse_event
from plateid.store.event_store import EventStore

LEFT_S = 600.0
"""How long after a stop the passes that it ended count as open, seconds of the steady clock."""
MAX_EVENTS = 2000
"""Number of newest events to look at: a kill leaves passes without `plate_left`, however old."""
LAST_EVENTS = """
    SELECT payload, plate_form FROM event
    WHERE position IN (
        SELECT max(position) FROM event
        WHERE position > (SELECT max(position) FROM event) - ? GROUP BY pass_id
    ) AND (
        event_type <> 'plate_left'
        OR pass_id IN (SELECT pass_id FROM stopped_pass WHERE stopped >= ?)
    ) ORDER BY position"""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""A random number that the kernel makes at each boot."""
log = structlog.get_logger()


def open_passes(store: EventStore, *, only_recent: bool = False) -> dict[str, list[PlateEvent]]:
    """Returns the last event of each pass from before the start, by camera, oldest first.

    With `only_recent`, those older than `LEFT_S` are left out: a store that cannot be written does
    not know which of them have ended, and each start would end them again.
    Logs what cannot be read and leaves it out, so that the service starts.
    """
    left_since = first_id(CLOCK.now().timestamp() - LEFT_S)
    try:
        rows = store.rows(LAST_EVENTS, MAX_EVENTS, left_since)
    except StoreError as error:
        log.warning("passes before the start not known", reason=str(error))
        return {}
    passes: dict[str, list[PlateEvent]] = defaultdict(list)
    for payload, plate_form in rows:
        try:
            event = parse_event(payload)
        except CorruptError as error:
            log.warning("pass before the start not known", reason=str(error))
        else:
            if only_recent and event.id < left_since:
                continue
            # without its plate, a pass cannot be continued: it can only be ended
            if (event.plate and plate_form == "plain") or event.event_type != "plate_left":
                passes[event.camera].append(event)
    return passes


def store_stopped_passes(store: EventStore, passes: Iterable[str]) -> None:
    """Replaces the ids of the passes that a stop ends; raises StoreError if it cannot."""
    stopped = first_id(CLOCK.now().timestamp())
    rows = [(pass_id, stopped) for pass_id in passes]
    with store.transaction() as db:
        db.execute("DELETE FROM stopped_pass")
        db.executemany("INSERT OR IGNORE INTO stopped_pass VALUES (?, ?)", rows)


def boot_file(store: Path) -> Path:
    """Returns the file beside the store that holds the boot and the time of `uptime` zero."""
    return store.with_name(f"{store.name}.boot")


def continue_clock(clock: SteadyClock, store: Path) -> None:
    """Continues the clock of the first start since boot, if known, so that later steps show."""
    file, boot = boot_file(store), ""
    with suppress(OSError, ValueError, OverflowError):
        boot = BOOT_ID.read_text().strip()
        before, booted_at = file.read_text(encoding="ascii").split()
        if before == boot:
            clock.booted_at = datetime.fromisoformat(booted_at).astimezone(UTC)
            return
    with suppress(OSError):
        replace_text(file, f"{boot} {clock.booted_at.isoformat()}\n")
