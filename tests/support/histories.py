"""Event histories, and short words for what the store keeps of them."""

import json
import os
from pathlib import Path
from typing import Any

from plateid.config.storage import PrivacyConfig, RetentionConfig
from plateid.core.ids import first_id
from plateid.core.records import Candidate, ListMatch, PlateEvent
from plateid.store.event_store import EventStore
from plateid.store.privacy import Privacy
from plateid.store.retention import Retention
from tests.support.samples import SEEN, event, outbox_of, payloads

ANA = ListMatch("Ana", "allow", 1)
DAY_S = 86_400.0


def retention(store: EventStore, clock_synced: bool | None = None, **settings: Any) -> Retention:
    """`settings` are of `[retention]` and `[privacy]`."""
    days = {key: settings.pop(key) for key in [*settings] if key in RetentionConfig.model_fields}
    privacy = Privacy(PrivacyConfig(**settings), store.path)
    return Retention(RetentionConfig(**days), store, privacy, lambda: clock_synced)


def deliver_all(store: EventStore, output: str = "mqtt", limit: int = 100_000) -> None:
    outbox = outbox_of(store, output)
    outbox.remove([entry.event.id for entry in outbox.pending(limit)])


def kept(store: EventStore) -> list[dict[str, Any]]:
    """The stored events, oldest first."""
    return [json.loads(payload) for payload in reversed(payloads(store))]


def seqs(store: EventStore) -> list[int]:
    return [left["seq"] for left in kept(store)]


def files_with(folder: Path, text: str) -> list[str]:
    """The files of a folder that have a text anywhere in them."""
    return sorted(file.name for file in folder.iterdir() if text.encode() in file.read_bytes())


def id_at(moment: float) -> str:
    """An event id of a `time.time()`."""
    return first_id(moment) + SEEN.id[13:-6] + os.urandom(3).hex()


def with_plate(seq: int, plate: str, **changes: Any) -> PlateEvent:
    texts = {"plate": plate, "plate_raw": plate, "plate_display": f"{plate[:2]} {plate[2:]}"}
    return event(seq, **{"candidates": (Candidate(plate, 1.0),)} | texts | changes)
