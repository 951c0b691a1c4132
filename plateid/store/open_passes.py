"""The passes from before a restart whose vehicles may still be there."""

import time
from collections import defaultdict

import structlog

from plateid.core.ids import first_id
from plateid.core.records import PlateEvent
from plateid.errors import StoreError
from plateid.store.database import CorruptError
from plateid.store.event_json import parse_event
from plateid.store.event_store import EventStore

OPEN_S = 30 * 86_400.0
"""How long a pass without `plate_left` counts as open, seconds: a kill leaves some."""
LEFT_S = 600.0
"""How long after a stop the passes that it ended count as open, seconds."""
log = structlog.get_logger()


def open_passes(store: EventStore) -> dict[str, list[PlateEvent]]:
    """Returns the last event of each pass from before the start, by camera.

    Logs what cannot be read and leaves it out, so that the service starts.
    """
    open_since, left_since = (first_id(time.time() - age_s) for age_s in (OPEN_S, LEFT_S))
    try:
        stored = store.last_of_passes(open_since=open_since, left_since=left_since)
    except StoreError as error:
        log.warning("passes before the start not known", reason=str(error))
        return {}
    passes: dict[str, list[PlateEvent]] = defaultdict(list)
    for payload, plate_form in stored:
        try:
            event = parse_event(payload)
        except CorruptError as error:
            log.warning("pass before the start not known", reason=str(error))
        else:
            # without its plate, a pass cannot be continued: it can only be ended
            if (event.plate and plate_form == "plain") or event.event_type != "plate_left":
                passes[event.camera].append(event)
    return passes
