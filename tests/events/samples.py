"""Events as the pipeline makes them, and short words for what tests do with them."""

from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any

from plateid.core.ids import uuid7
from plateid.core.records import Candidate, ModelNames, PathPoint, PlateEvent, Region
from plateid.events.mqtt import MqttPublisher
from plateid.events.store import EventStore

Logs = list[MutableMapping[str, Any]]
Publish = Callable[..., MqttPublisher]
NOON = datetime(2026, 11, 24, 12, 0, 0, 123456, UTC)
BOX = (562.125, 413.6, 649.1, 436.2)
SEEN = PlateEvent(
    event_type="plate_seen",
    id="01939d2c-1a2b-7c3d-8e4f-5a6b7c8d9e0f",
    pass_id="01939d2c-1a2b-7c3d-8e4f-5a6b7c8d9e10",  # noqa: S106 no password
    device="box",
    camera="gate",
    seq=1,
    plate="B68SPK",
    plate_raw="868SPK",
    plate_display="B 68 SPK",
    confidence=0.98,
    char_confidences=(0.99, 0.98, 0.99, 0.99, 0.98, 0.99),
    candidates=(Candidate("B68SPK", 0.98), Candidate("868SPK", 0.01)),
    reads=7,
    agreeing_reads=5,
    region=Region("ro", 0.9),
    first_seen=NOON,
    last_seen=NOON + timedelta(seconds=2),
    box=BOX,
    path=(PathPoint(0.0, BOX), PathPoint(0.25, BOX)),
    dwell_s=2.0,
    model=ModelNames("yolov8n", "ctc-48x144", "default"),
)


def event(seq: int, **changes: Any) -> PlateEvent:
    """`SEEN` with an id of its own."""
    return PlateEvent(**vars(SEEN) | {"id": uuid7(), "seq": seq} | changes)


def append(store: EventStore, *seqs: int, **changes: Any) -> None:
    for seq in seqs:
        store.append(event(seq, **changes))


def outbox(store: EventStore) -> int:
    return store.counts().outbox


def said(logs: Logs, phrase: str) -> list[str]:
    return [entry.get("reason", "") for entry in logs if entry["event"] == phrase]
