"""The passes from before a restart whose vehicles may still be there."""

import time
from collections import defaultdict
from collections.abc import Iterable

import structlog

from plateid.core.ids import first_id
from plateid.core.records import PlateEvent
from plateid.errors import StoreError
from plateid.store.database import CorruptError, parse_event
from plateid.store.event_store import EventStore

OPEN_S = 30 * 86_400.0
"""How long a pass without `plate_left` counts as open, seconds: a kill leaves some."""
LEFT_S = 600.0
"""How long after a stop the passes that it ended count as open, seconds."""
MAX_EVENTS = 2000
"""Number of newest events to look at: if the clock is behind, the whole history looks young."""
LAST_EVENTS = """
    SELECT payload, plate_form FROM event
    WHERE position IN (
        SELECT max(position) FROM event
        WHERE position > (SELECT max(position) FROM event) - ? AND +id >= ? GROUP BY pass_id
    ) AND (
        event_type <> 'plate_left'
        OR pass_id IN (SELECT pass_id FROM stopped_pass WHERE stopped >= ?)
    ) ORDER BY position"""
log = structlog.get_logger()


def open_passes(store: EventStore) -> dict[str, list[PlateEvent]]:
    """Returns the last event of each pass from before the start, by camera, oldest first.

    Logs what cannot be read and leaves it out, so that the service starts.
    """
    open_since, left_since = (first_id(time.time() - age_s) for age_s in (OPEN_S, LEFT_S))
    try:
        rows = store.rows(LAST_EVENTS, MAX_EVENTS, open_since, left_since)
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
            # without its plate, a pass cannot be continued: it can only be ended
            if (event.plate and plate_form == "plain") or event.event_type != "plate_left":
                passes[event.camera].append(event)
    return passes


def store_stopped_passes(store: EventStore, passes: Iterable[str], *, stopped: str) -> None:
    """Stores the ids of the passes that a stop ends, replacing those of the last stop.

    `stopped` is an id before those of all later events. Raises StoreError if the store cannot be
    written.
    """
    rows = [(pass_id, stopped) for pass_id in passes]
    with store.transaction() as db:
        db.execute("DELETE FROM stopped_pass")
        db.executemany("INSERT OR IGNORE INTO stopped_pass VALUES (?, ?)", rows)
