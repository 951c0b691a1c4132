"""Passes of before a restart, whose vehicles may still stand there; a kill leaves some open."""

import time
from collections import defaultdict

import structlog
from pydantic import TypeAdapter, ValidationError

from plateid.config.problems import problems_of
from plateid.core.ids import first_id
from plateid.core.records import PlateEvent
from plateid.errors import StoreError
from plateid.store.event_store import EventStore

OPEN_S, LEFT_S = 30 * 86_400.0, 600.0
"""For how long passes are known that were left open, and such that a stop has ended or has found
there still."""
EVENT = TypeAdapter(PlateEvent)
log = structlog.get_logger()


def told_before(store: EventStore) -> dict[str, list[PlateEvent]]:
    """The last event of each pass from before the start, by camera.

    What cannot be read is logged, and the service starts without it.
    """
    told: dict[str, list[PlateEvent]] = defaultdict(list)
    open_since, left_since = (first_id(time.time() - age_s) for age_s in (OPEN_S, LEFT_S))
    try:
        payloads = store.last_told(open_since=open_since, left_since=left_since)
    except StoreError as error:
        log.warning("passes before the start not known", reason=str(error))
        return told
    for payload in payloads:
        try:
            event = EVENT.validate_json(payload)
            # else privacy has dropped it, or made a hash of it: its pass can only be ended
            is_whole = event.plate and len(event.plate) == len(event.char_confidences)
            if is_whole or event.event_type != "plate_left":
                told[event.camera].append(event)
        except ValidationError as error:
            reason = "; ".join(problem.text for problem in problems_of(error))
            log.warning("pass before the start not known", reason=reason)
    return told
