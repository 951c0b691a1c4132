"""Stores events that no broker brought: those of an archive of recordings."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from itertools import islice

from plateid.config.hub import HubConfig
from plateid.hub.database import migrate
from plateid.hub.ingest import checked
from plateid.hub.messages import Message
from plateid.hub.recording import Recorder

BATCH = 500
"""Number of events that one transaction stores."""
FOREIGN = re.compile(r"[^a-zA-Z0-9_-]+")
"""Characters that the hub does not take in the name of a camera."""


def import_events(config: HubConfig, events: Iterable[str]) -> Counter[str]:
    """Stores events (JSON) of a device `archive`; those that are known stay as they are.

    Returns numbers: `stored`, `known`, `quarantined`. Raises StoreError.
    """
    migrate(config.database)
    counts, left = Counter[str](), iter(events)
    with closing(Recorder(config.database)) as recorder:
        while texts := [*islice(left, BATCH)]:
            counts += recorder.store(checked(map(_message, texts)))
    return counts


def _message(text: str) -> Message:
    event = json.loads(text)
    event["camera"] = FOREIGN.sub("-", event["camera"])[:64]
    return Message(f"plateid/archive/{event['camera']}/event", json.dumps(event).encode())
