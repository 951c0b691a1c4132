"""Passes that an earlier process did not bring to their end: a kill, a power cut, a restart."""

from collections import defaultdict

import structlog
from pydantic import TypeAdapter, ValidationError

from plateid.core.passes import Pass
from plateid.core.records import PlateEvent
from plateid.errors import StoreError
from plateid.events.store import EventStore

log = structlog.get_logger()


def unfinished_passes(store: EventStore) -> dict[str, list[Pass]]:
    """Of each camera; where the store cannot be read that is logged, and the service starts."""
    passes: dict[str, list[Pass]] = defaultdict(list)
    try:
        for payload in store.unfinished():
            told = TypeAdapter(PlateEvent).validate_json(payload)
            passes[told.camera].append(Pass.after(told))
    except (StoreError, ValidationError) as error:
        log.warning("passes before the start not known", reason=str(error))
    return passes
