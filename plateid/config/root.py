"""The whole of `plateid.toml`, and the rules between its tables."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from pydantic import Field, model_validator

from plateid.config.cameras import MAX_CAMERAS, CameraConfig, EventsConfig
from plateid.config.models import ModelsConfig
from plateid.config.outputs import (
    MAX_WEBHOOKS,
    HomeAssistantConfig,
    ListsConfig,
    LogfileConfig,
    MqttConfig,
    WebhookConfig,
)
from plateid.config.section import Name, Section
from plateid.config.service import GpsConfig, MetricsConfig, OccupancyConfig, WebConfig
from plateid.config.storage import (
    PrivacyConfig,
    RetentionConfig,
    SnapshotPolicy,
    SnapshotsConfig,
    StoreConfig,
)


class Config(Section):
    """The whole of `plateid.toml`."""

    device: Name = "plateid"
    """Name of this device in topics and events."""
    camera: tuple[CameraConfig, ...] = Field(default=(), max_length=MAX_CAMERAS)
    """Cameras; none only if [web] is enabled."""
    mqtt: MqttConfig = MqttConfig()
    models: ModelsConfig = ModelsConfig()
    events: EventsConfig = EventsConfig()
    store: StoreConfig = StoreConfig()
    retention: RetentionConfig = RetentionConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    snapshots: SnapshotsConfig = SnapshotsConfig()
    homeassistant: HomeAssistantConfig = HomeAssistantConfig()
    lists: ListsConfig = ListsConfig()
    webhook: tuple[WebhookConfig, ...] = Field(default=(), max_length=MAX_WEBHOOKS)
    """Servers that get events."""
    logfile: LogfileConfig = LogfileConfig()
    gps: GpsConfig = GpsConfig()
    metrics: MetricsConfig = MetricsConfig()
    web: WebConfig = WebConfig()
    occupancy: OccupancyConfig = OccupancyConfig()

    @property
    def snapshot_policies(self) -> dict[bool, SnapshotPolicy]:
        """What snapshots show of listed (True) and unlisted (False) vehicles."""
        kinds = {True: "listed", False: "unlisted"}
        if not self.snapshots.enabled:
            return dict.fromkeys(kinds, "off")
        return {
            listed: getattr(self.snapshots, kind)
            or ("keep" if getattr(self.privacy, kind) == "keep" else "blur")
            for listed, kind in kinds.items()
        }

    @property
    def visit_url(self) -> str:
        """Address of the web UI for other devices; empty if they do not reach it."""
        reached = self.web.enabled and not self.web.host.is_loopback and not self.web.ingress
        url = self.homeassistant.configuration_url
        return (self.web.browser_address if reached else "") if url is None else url

    @property
    def hides_plates(self) -> bool:
        """Whether some images hide plates, which means that all plates must be detected."""
        return set(self.snapshot_policies.values()) not in ({"keep"}, {"off"})

    @model_validator(mode="before")
    @classmethod
    def _inherit_events(cls, table: Any) -> Any:
        """Fills the values of `[events]` into each camera's own events."""
        match table:
            case {"events": dict() as events, "camera": list() as cameras}:
                return table | {"camera": [_with_events(camera, events) for camera in cameras]}
        return table

    @model_validator(mode="after")
    def _check_tables(self) -> "Config":
        found = chain(self._wrong_names(), self._contradictions())
        if (contradiction := next(found, None)) is not None:
            raise ValueError(contradiction)
        return self

    def _wrong_names(self) -> Iterator[str]:
        known = [camera.name for camera in self.camera]
        if not self.camera and not self.web.enabled:  # the web UI can add one
            yield "camera: is missing"
        for kind, named in (("camera", known), ("webhook", [hook.name for hook in self.webhook])):
            if repeated := {name for name in named if named.count(name) > 1}:
                yield f"{kind} name used twice: {', '.join(sorted(repeated))}"
        users: dict[str, Sequence[str]] = {
            f"webhook {webhook.name}": webhook.cameras for webhook in self.webhook
        }
        users["occupancy"] = (*self.occupancy.entry, *self.occupancy.exit)
        for user, names in users.items():
            if unknown := sorted(set(names) - set(known)):
                yield f"{user}: there is no camera {unknown[0]}"

    def _contradictions(self) -> Iterator[str]:
        for camera in self.camera:
            if (camera.events or self.events).require_direction and not camera.view.tells_way:
                yield f"camera {camera.name}: events.require_direction needs line or approaching"
            if camera.kind == "events" and not self.web.enabled:
                yield f'camera {camera.name}: kind = "events" needs [web] enabled'
        tells_way = any(camera.view.tells_way for camera in self.camera)
        for key in ("entry", "exit"):
            if self.occupancy.enabled and not (getattr(self.occupancy, key) or tells_way):
                yield f"occupancy needs {key}, or a camera with line or approaching"
        for kind in ("unlisted", "listed"):
            shown, kept = getattr(self.snapshots, kind), getattr(self.privacy, kind)
            if shown in ("keep", "vehicle") and kept != "keep":
                yield f'snapshots.{kind} = "{shown}" shows plates, but privacy.{kind} is "{kept}"'


def _with_events(camera: Any, events: dict[str, Any]) -> Any:
    match camera:
        case {"events": dict() as own}:
            return camera | {"events": events | own}
    return camera


def merged(running: Config, wanted: Config) -> tuple[Config, list[str]]:
    """Applies the changes of `[events]`, `[lists]` and the present cameras without a restart.

    Returns the configuration to continue with, and the sections of `wanted` that wait for a
    restart. `camera` is one of them if cameras were added, removed or changed in kind.
    """
    cameras = {(camera.name, camera.kind): camera for camera in wanted.camera}
    kept = tuple(cameras.get((camera.name, camera.kind), camera) for camera in running.camera)
    config = running.model_copy(
        update={"events": wanted.events, "lists": wanted.lists, "camera": kept}
    )
    waiting = [
        name
        for name in Config.model_fields
        if name != "camera" and getattr(config, name) != getattr(wanted, name)
    ]
    if cameras.keys() != {(camera.name, camera.kind) for camera in running.camera}:
        waiting.append("camera")
    return config, waiting
