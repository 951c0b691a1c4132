"""Events as the pipeline makes them, and short words for what tests do with them."""

from collections.abc import Callable, MutableMapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from plateid.backoff import Backoff
from plateid.config.outputs import HomeAssistantConfig, MqttConfig
from plateid.config.storage import RetentionConfig
from plateid.core.health import CameraHealth, DeviceHealth
from plateid.core.ids import uuid7
from plateid.core.records import Candidate, ModelNames, PathPoint, PlateEvent, Region
from plateid.errors import SourceError
from plateid.outputs.discovery import DiscoveryPublisher
from plateid.outputs.mqtt import MqttPublisher
from plateid.outputs.mqtt_topics import MqttDevice
from plateid.service.health_report import HealthReporter
from plateid.store.backlog import Backlog
from plateid.store.event_store import EventStore
from plateid.store.outbox import Outbox
from plateid.store.schema import MQTT
from plateid.web.site import Hooks

Logs = list[MutableMapping[str, Any]]
Publish = Callable[..., MqttPublisher]
QUICK = Backoff(first_s=0.02, cap_s=0.1)
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


def _untested(*_: Any) -> Any:
    raise SourceError("camera or broker", "is not tested")


NO_HOOKS = Hooks(lambda: None, lambda: None, _untested, _untested, list, _untested)
"""Hooks of a web UI without a service."""


def event(seq: int, **changes: Any) -> PlateEvent:
    """`SEEN` with an id of its own."""
    return PlateEvent(**vars(SEEN) | {"id": uuid7(), "seq": seq} | changes)


def make_publisher(
    config: MqttConfig,
    store: EventStore,
    *,
    cameras: Sequence[str] = ("gate",),
    list_names: Callable[[], Sequence[str]] = tuple,
    health: Callable[[], str] = lambda: "{}",
    backoff: Backoff = QUICK,
    **settings: Any,
) -> MqttPublisher:
    """Makes the publisher of a store; `settings` are of `[homeassistant]`, or `images`, `name`."""
    images, name = settings.pop("images", True), settings.pop("name", "box")
    device = MqttDevice(config.prefix, name, store.instance, tuple(cameras), images)
    discovery = DiscoveryPublisher(
        HomeAssistantConfig(**settings), device, store, list_names=list_names, birth_delay_s=0.05
    )
    return MqttPublisher(
        config,
        device,
        queue=outbox_of(store),
        discovery=discovery,
        health=health,
        backoff=backoff,
    )


def make_health(
    store: EventStore,
    *,
    backlog: Backlog | None = None,
    outbox: Outbox | None = None,
    cameras: Sequence[str] = ("gate",),
    listed: Sequence[str] = (),
    clock_synced: bool | None = True,
) -> HealthReporter:
    states = {
        camera: CameraHealth(online=True, frames=10, dropped=1, skipped=2, unpublished=3)
        for camera in cameras
    }
    outbox = outbox or outbox_of(store if backlog is None else backlog)

    def device_health() -> DeviceHealth:
        storage = outbox.storage_health()
        return DeviceHealth(states, storage, clock_synced, listed=tuple(listed))

    return HealthReporter(device_health, bundle="tiny")


def append(store: EventStore, *seqs: int, **changes: Any) -> None:
    for seq in seqs:
        store.append(event(seq, **changes))


def payloads(store: EventStore) -> list[str]:
    """The JSON of all events, newest first."""
    rows = store.rows("SELECT payload FROM event ORDER BY position DESC")
    return [payload for (payload,) in rows]


def outbox_of(store: EventStore | Backlog, output: str = MQTT, **bounds: Any) -> Outbox:
    backlog = store if isinstance(store, Backlog) else Backlog(store)
    return Outbox(backlog, RetentionConfig(**bounds), output)


def outbox(store: EventStore) -> int:
    return store.counts().outbox


def said(logs: Logs, phrase: str) -> list[str]:
    return [entry.get("reason", "") for entry in logs if entry["event"] == phrase]
