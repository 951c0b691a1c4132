"""`plateid.toml`: one file, every key described, unknown keys refused."""

import os
import tomllib
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    IPvAnyAddress,
    StringConstraints,
    ValidationError,
    model_validator,
)

from plateid.core.formats import Formats, shipped_formats, with_tables
from plateid.core.records import ListKind, Way
from plateid.core.view import View
from plateid.errors import ConfigError

Name = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
Topic = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]+(/[a-zA-Z0-9_-]+){0,7}$")]
Kept = Literal["keep", "hash", "drop"]
Shown = Literal["keep", "vehicle", "blur", "off"]
LONGEST_DAYS = 36500
Probability = Annotated[float, Field(ge=0, le=1)]
Point = tuple[Probability, Probability]
"""x and y in parts of the picture, from its top left corner."""
Polygon = Annotated[tuple[Point, ...], Field(min_length=3)]
SHIPPED = Path(__file__).parent / "models"
DEFAULT_BUNDLE = SHIPPED / "default"
ACTIVE = "active"
"""Name of the link that shows to the installed bundle in use."""
TRIAL = Path("/run/plateid-trial")
"""Link to the bundle that `plateid models install` lets the service try."""


def shipped_bundles() -> tuple[str, ...]:
    """Names of the bundles that ship with plateid, the default first."""
    names = (file.parent.name for file in SHIPPED.glob("*/bundle.toml"))
    return tuple(sorted(names, key=lambda name: (name != DEFAULT_BUNDLE.name, name)))


def bundle_path(bundle: Any) -> Any:
    """The folder of a bundle that ships, where text is its name; all else is left as it is."""
    return SHIPPED / bundle if bundle in shipped_bundles() else bundle


def bundle_of(link: Path) -> Path | None:
    """What a link shows to, which need not exist; None where there is no link.

    Raises:
        ConfigError: Nobody can tell.
    """
    try:
        return Path(os.path.realpath(link.parent / link.readlink()))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(link, error.strerror) from error


def bundle_in_use(installed: Path) -> Path:
    """The bundle on trial, else the one installed last, else the one that ships.

    Raises:
        ConfigError: The folder of installed bundles cannot be searched.
    """
    trial = bundle_of(TRIAL)
    if trial is not None and trial in (DEFAULT_BUNDLE.resolve(), installed.resolve() / trial.name):
        return trial
    return bundle_of(installed / ACTIVE) or DEFAULT_BUNDLE


class Section(BaseModel):
    """A table of the file: immutable, nothing unknown, relative paths are relative to the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EventsConfig(Section):
    """Section `[events]`."""

    min_confidence: Probability = Field(default=0.5, description="No plate_seen below it")
    sure_confidence: Probability = Field(
        default=0.95, description="plate_seen is sent as soon as this is reached"
    )
    max_wait_s: float = Field(
        default=3.0, ge=0, description="Seconds after which min_confidence is enough for plate_seen"
    )
    min_reads: int = Field(
        default=3, ge=1, description="Frames that must read alike before a vehicle is published"
    )
    lost_s: float = Field(
        default=2.0, gt=0, description="Seconds unseen after which a vehicle has left"
    )
    parked_s: float = Field(
        default=60.0, gt=0, description="Seconds after which a vehicle that stands is parked"
    )
    parked_lost_s: float = Field(
        default=300.0,
        gt=0,
        description="Seconds unseen after which one that was parked has left; it may be hidden",
    )
    regions: tuple[str, ...] = Field(
        default=(),
        description="Countries to expect, as in ro, gb, de; eu: all of the Union; empty: any",
    )
    strict: bool = Field(
        default=False, description="Publish only what the syntax of one of the regions allows"
    )
    formats: Path | None = Field(
        default=None,
        description="File of plate syntax as plateid/core/formats.toml; its countries come on top, "
        "or replace those of the same code",
    )

    @model_validator(mode="after")
    def _sure_is_surer(self) -> "EventsConfig":
        if self.sure_confidence < self.min_confidence:
            raise ValueError("sure_confidence is lower than min_confidence")
        return self


class CameraConfig(Section):
    """Section `[[camera]]`."""

    name: Name = Field(description="Name in topics and events: letters, digits, - and _")
    url: str = Field(
        min_length=1,
        description="rtsp://, http(s)://, /dev/videoN, or the path of a clip that is played once",
    )
    loop: bool = Field(default=False, description="Play a clip again and again")
    roi: Polygon | None = Field(
        default=None,
        description="Polygon that a plate's centre has to be in: [[x, y], ...] in parts of the "
        "picture, from its top left corner; default: the whole picture",
    )
    masks: tuple[Polygon, ...] = Field(
        default=(),
        description="Polygons where there is no plate, as a clock in the picture or a sign",
    )
    min_plate_height: float = Field(
        default=0.0, ge=0, description="Lower plates are ignored, in pixels of the full picture"
    )
    line: tuple[Point, Point] | None = Field(
        default=None,
        description="Who crosses it from its left to its right, as one looks from its first point "
        "to its second, goes in; who crosses it the other way goes out",
    )
    approaching: Way | None = Field(
        default=None, description="in or out: which way those go who come nearer; instead of line"
    )
    events: EventsConfig | None = Field(
        default=None, description="Values of [events] that differ for this camera"
    )

    @property
    def view(self) -> View:
        """What counts in its picture."""
        return View(self.roi or (), self.masks, self.min_plate_height, self.line, self.approaching)

    @model_validator(mode="after")
    def _one_way_to_tell_the_way(self) -> "CameraConfig":
        if self.line and self.approaching:
            raise ValueError("line and approaching: choose one")
        if self.line and self.line[0] == self.line[1]:
            raise ValueError("line: its two points are one")
        return self


class MqttConfig(Section):
    """Section `[mqtt]`; a file that systemd hands over as a credential is named without a path."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Broker")
    tls: bool = Field(default=False, description="Encrypt, and check the broker's certificate")
    port: int = Field(
        default_factory=lambda known: 8883 if known.get("tls") else 1883,
        ge=1,
        le=65535,
        description="Port of the broker; default: 1883, with tls 8883",
    )
    ca_file: Path | None = Field(
        default=None,
        description="PEM file of whoever signed the broker's certificate; default: the system's",
    )
    certificate_file: Path | None = Field(
        default=None, description="PEM file of our own certificate, where the broker wants one"
    )
    key_file: Path | None = Field(
        default=None, description="PEM file of its key, unencrypted; default: in certificate_file"
    )
    username: str | None = Field(default=None, description="User at the broker")
    password_file: Path | None = Field(default=None, description="File that holds the password")
    prefix: Name = Field(default="plateid", description="First level of every topic")

    @model_validator(mode="after")
    def _nothing_is_said_in_vain(self) -> "MqttConfig":
        for key, needed in (
            ("ca_file", "tls"),
            ("certificate_file", "tls"),
            ("key_file", "certificate_file"),
            ("password_file", "username"),
        ):
            if getattr(self, key) and not getattr(self, needed):
                message = f"{key} needs {needed}"
                raise ValueError(message)
        return self


class HomeAssistantConfig(Section):
    """Section `[homeassistant]`."""

    enabled: bool = Field(default=True, description="Announce entities to Home Assistant")
    prefix: Topic = Field(
        default="homeassistant", description="Discovery prefix, as Home Assistant has it"
    )
    status_topic: Topic = Field(
        default="homeassistant/status", description="Where Home Assistant says that it is online"
    )


class ModelsConfig(Section):
    """Section `[models]`."""

    bundle: Annotated[Path, BeforeValidator(bundle_path)] = Field(
        default=DEFAULT_BUNDLE,
        description="Model bundle: the name of one that ships (default, accurate, small), or a "
        "directory; without this key, what `plateid models install` installed last, else default",
    )
    installed: Path = Field(
        default=Path("/var/lib/plateid-models"),
        description="Directory of the bundles that `plateid models install` installs",
    )
    trusted_keys: Path = Field(
        default=Path("/etc/plateid/keys"),
        description="Directory of public keys (Ed25519, *.pem) whose bundles may be installed",
    )
    provider: Literal["cpu", "cuda", "tensorrt"] = Field(
        default="cpu", description="ONNX Runtime execution provider; never exchanged silently"
    )
    engine_cache: Path | None = Field(
        default=None,
        description="Directory of TensorRT engines; default: engines/ in the cache directory that "
        "systemd gives the service, else plateid/engines/ in the user's cache",
    )
    threads: int = Field(
        default=1, ge=1, le=64, description="Threads of one inference; TensorRT needs none"
    )
    workers: int = Field(
        default_factory=lambda: min(64, len(os.sched_getaffinity(0))),
        ge=1,
        le=64,
        description="Inferences at the same time; default: one for each processor core",
    )
    reader: Literal["bundle", "easyocr"] = Field(
        default="bundle",
        description="Who reads: the bundle's network, or EasyOCR's english_g2, slow and weak, on "
        "the CPU (pip install plateid[easyocr])",
    )
    easyocr_folder: Path | None = Field(
        default=None, description="Folder of english_g2.pth; default: EasyOCR downloads it"
    )


class StoreConfig(Section):
    """Section `[store]`."""

    path: Path = Field(
        default=Path("plateid.sqlite3"), description="Event store; created when missing"
    )
    max_outbox_events: int = Field(
        default=100_000, ge=1, description="Events that may wait for the broker; the oldest go"
    )
    max_outbox_days: float = Field(
        default=30.0, gt=0, description="Days that an event may wait for the broker"
    )


class PrivacyConfig(Section):
    """Section `[privacy]`: what stays on this box; MQTT and webhooks get each event as it is."""

    unknown: Kept = Field(
        default="keep",
        description="Plates of no list, in the store once they are sent, in log files and in the "
        "log: keep; hash (HMAC-SHA256 by a key that only this box has); or drop, which leaves an "
        "event without a plate",
    )
    listed: Kept = Field(
        default="keep",
        description="The same for plates of a list, and for the names of its entries",
    )
    key_days: float = Field(
        default=30.0,
        gt=0,
        le=LONGEST_DAYS,
        description="Days after which another key is made and the old one is gone: hashes of one "
        "plate are alike within this time only",
    )
    history_days: float = Field(
        default=90.0, gt=0, le=LONGEST_DAYS, description="Days that an event stays in the store"
    )
    history_mb: float = Field(
        default=1000.0,
        ge=1,
        le=1e6,
        description="Megabytes of the store from which on its oldest events go, sent ones only",
    )


class SnapshotsConfig(Section):
    """Section `[snapshots]`: pictures of passes, in a folder beside the store and over MQTT."""

    enabled: bool = Field(default=True, description="Keep and publish the best shot of each pass")
    unknown: Shown | None = Field(
        default=None,
        description="Of vehicles of no list: keep; vehicle (all around it is blurred); blur (its "
        "plate cannot be read); or off; default: keep where [privacy] keeps the plate, else blur. "
        "Other plates in the picture are blurred unless all pictures are of keep",
    )
    listed: Shown | None = Field(default=None, description="The same for vehicles of a list")
    max_side: int = Field(
        default=1280, ge=160, le=4096, description="Longest side in pixels; larger ones are scaled"
    )
    quality: int = Field(default=80, ge=10, le=95, description="Of the JPEG")
    days: float = Field(default=30.0, gt=0, le=LONGEST_DAYS, description="Days that one is kept")
    mb: float = Field(
        default=1000.0, ge=1, le=1e6, description="Megabytes of all, from which on the oldest go"
    )


class ListsConfig(Section):
    """Section `[lists]`."""

    file: Path | None = Field(
        default=None,
        description="CSV file of known plates: plate,list,name,note,valid_from,valid_to,cameras; "
        "list is allow, deny or watch; read again when it changes",
    )
    max_distance: float = Field(
        default=0.5,
        ge=0,
        le=3,
        description="How far a plate may be from an entry: a look-alike, as O for 0, is 0.25, any "
        "other edit 1; 0: exact only",
    )


class WebhookConfig(Section):
    """Section `[[webhook]]`."""

    name: Name = Field(description="Name in the log; what waits for it is kept under it")
    url: str = Field(
        pattern=r"^https?://[^/@\s]+(/\S*)?$",
        description="Where each event is sent by POST, http:// or https://",
    )
    secret_file: Path | None = Field(
        default=None,
        description="File of a base64 secret, as of `openssl rand -base64 32`, to sign with; a "
        "credential of systemd is named without a path; default: no signature",
    )
    ca_file: Path | None = Field(
        default=None,
        description="PEM file of whoever signed the server's certificate; default: the system's",
    )
    timeout_s: float = Field(default=10.0, gt=0, le=60, description="Longest wait for an answer")
    lists: tuple[ListKind | Literal["none"], ...] = Field(
        default=(),
        description="Send only plates of these lists; none: those of no list; empty: all",
    )


class LogfileConfig(Section):
    """Section `[logfile]`; a file that is moved away, as logrotate does, is begun anew."""

    csv: Path | None = Field(default=None, description="File that gets a row for each event")
    jsonl: Path | None = Field(
        default=None, description="File that gets each event as a line of JSON"
    )


class MetricsConfig(Section):
    """Section `[metrics]`: what Prometheus scrapes, at http://host:port/metrics."""

    host: IPvAnyAddress = Field(
        default=IPv4Address("127.0.0.1"),
        description="Address to listen at; whoever reaches it may read, so 0.0.0.0 is for networks "
        "that you trust",
    )
    port: int = Field(default=9797, ge=1, le=65535, description="Port to listen at")


class WebConfig(Section):
    """Section `[web]`: the live page."""

    enabled: bool = Field(default=False, description="Serve the live page")
    host: IPvAnyAddress = Field(
        default=IPv4Address("127.0.0.1"),
        description="Address to listen at; one that others reach, as 0.0.0.0, needs a password, "
        "which `plateid web set-password` sets",
    )
    port: int = Field(default=8480, ge=1, le=65535, description="Port to listen at")
    certificate_file: Path | None = Field(
        default=None, description="PEM file of a certificate: the page is served by https only"
    )
    key_file: Path | None = Field(
        default=None, description="PEM file of its key, unencrypted; default: in certificate_file"
    )
    proxy: IPvAnyAddress | None = Field(
        default=None,
        description="Address of a proxy that stands before the page, and says who asks "
        "(X-Forwarded-For, X-Forwarded-Proto); needs a password",
    )
    fps: int = Field(default=5, ge=1, le=25, description="Pictures a second of the live view")
    width: int = Field(default=960, ge=160, le=3840, description="Its width, in pixels at most")

    @model_validator(mode="after")
    def _a_key_has_a_certificate(self) -> "WebConfig":
        if self.key_file and not self.certificate_file:
            raise ValueError("key_file needs certificate_file")
        return self

    @property
    def needs_password(self) -> bool:
        """Whether others than the users of this machine get here."""
        return not self.host.is_loopback or self.proxy is not None


class GpsConfig(Section):
    """Section `[gps]`: events bear the position that gpsd tells."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Where gpsd runs")
    port: int = Field(default=2947, ge=1, le=65535, description="Its port")
    max_age_s: float = Field(
        default=10.0, gt=0, description="An older position is none: the box has moved on"
    )


class Config(Section):
    """The whole of `plateid.toml`."""

    device: Name = Field(default="plateid", description="Name of this box in topics and events")
    camera: tuple[CameraConfig, ...] = Field(min_length=1, description="Cameras")
    mqtt: MqttConfig = MqttConfig()
    models: ModelsConfig = ModelsConfig()
    events: EventsConfig = EventsConfig()
    store: StoreConfig = StoreConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    snapshots: SnapshotsConfig = SnapshotsConfig()
    homeassistant: HomeAssistantConfig = HomeAssistantConfig()
    lists: ListsConfig = ListsConfig()
    webhook: tuple[WebhookConfig, ...] = Field(default=(), description="Servers that get events")
    logfile: LogfileConfig = LogfileConfig()
    gps: GpsConfig | None = Field(default=None, description="Without it, events bear no position")
    metrics: MetricsConfig | None = Field(
        default=None, description="Without it, nothing listens for Prometheus"
    )
    web: WebConfig = WebConfig()

    @property
    def shown(self) -> dict[bool, Shown]:
        """What the pictures show of vehicles of a list (True), and of the others."""
        kinds = {True: "listed", False: "unknown"}
        if not self.snapshots.enabled:
            return dict.fromkeys(kinds, "off")
        return {
            listed: getattr(self.snapshots, kind)
            or ("keep" if getattr(self.privacy, kind) == "keep" else "blur")
            for listed, kind in kinds.items()
        }

    @model_validator(mode="before")
    @classmethod
    def _cameras_differ_from_events(cls, table: Any) -> Any:
        """A camera's own [events] are those of the file, less what it says itself."""
        match table:
            case {"events": dict() as events, "camera": list() as cameras}:
                return table | {"camera": [_with_events(camera, events) for camera in cameras]}
        return table

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Config":
        names = [camera.name for camera in self.camera]
        if repeated := {name for name in names if names.count(name) > 1}:
            message = f"camera name used twice: {', '.join(sorted(repeated))}"
            raise ValueError(message)
        webhooks = [webhook.name for webhook in self.webhook]
        if repeated := {name for name in webhooks if webhooks.count(name) > 1}:
            message = f"webhook name used twice: {', '.join(sorted(repeated))}"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _pictures_tell_no_more_than_events(self) -> "Config":
        for kind in ("unknown", "listed"):
            shown, kept = getattr(self.snapshots, kind), getattr(self.privacy, kind)
            if shown in ("keep", "vehicle") and kept != "keep":
                message = (
                    f"snapshots.{kind}: {shown} shows plates, of which privacy.{kind} is {kept}"
                )
                raise ValueError(message)
        return self


def _with_events(camera: Any, events: dict[str, Any]) -> Any:
    match camera:
        case {"events": dict() as own}:
            return camera | {"events": events | own}
    return camera


def load_config(path: Path) -> Config:
    """Reads and checks a configuration file; its relative paths become relative to its folder.

    Raises:
        ConfigError: The file cannot be read, is not TOML, or a key is wrong; names the key.
    """
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(path, getattr(error, "strerror", None) or error) from error
    try:
        config = Config.model_validate(table)
    except ValidationError as error:
        key, reason = first_problem(error)
        raise ConfigError(f"{path}: {key}", reason) from error
    return _anchored(config, path.resolve().parent)


def load_formats(path: Path | None) -> Formats:
    """The tables of plate syntax that ship, and those of a user's file, which go first.

    Raises:
        ConfigError: The file cannot be read or is wrong; names the file, the line and the reason.
    """
    if path is None:
        return shipped_formats()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, getattr(error, "strerror", None) or error) from error
    return with_tables(text, path)


def expected_formats(events: EventsConfig) -> Formats:
    """The plates that a configuration expects.

    Raises:
        ConfigError: As `load_formats`, or a region is unknown, or strictness has none.
    """
    formats = load_formats(events.formats)
    return formats.expecting(events.regions, key="events.regions", strict=events.strict)


def rules_of(config: Config, camera: CameraConfig) -> EventsConfig:
    """What holds for the events of one camera."""
    return camera.events or config.events


def formats_of(config: Config) -> dict[str, Formats]:
    """The plates that each camera expects, by its name.

    Raises:
        ConfigError: As `expected_formats`; names the camera where the value is its own.
    """
    common = expected_formats(config.events)
    formats = {}
    for camera in config.camera:
        try:
            formats[camera.name] = expected_formats(camera.events) if camera.events else common
        except ConfigError as error:
            raise ConfigError(f"camera {camera.name}: {error.subject}", error.reason) from error
    return formats


def first_problem(error: ValidationError) -> tuple[str, str]:
    """Where it is, as `camera[0].url`, and what is wrong there."""
    first = error.errors()[0]
    dotted = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in first["loc"])
    return dotted.lstrip(".") or "whole file", first["msg"].removeprefix("Value error, ")


def _anchored(config: Config, folder: Path) -> Config:
    return config.model_copy(
        update={
            "camera": tuple(_anchored_camera(camera, folder) for camera in config.camera),
            "models": _anchored_models(config.models, folder),
            "events": _anchored_events(config.events, folder),
            "lists": config.lists.model_copy(update={"file": _joined(folder, config.lists.file)}),
            "webhook": tuple(_anchored_webhook(webhook, folder) for webhook in config.webhook),
            "logfile": config.logfile.model_copy(
                update={
                    "csv": _joined(folder, config.logfile.csv),
                    "jsonl": _joined(folder, config.logfile.jsonl),
                }
            ),
            "store": config.store.model_copy(update={"path": folder / config.store.path}),
            "mqtt": _anchored_mqtt(config.mqtt, folder),
            "web": config.web.model_copy(
                update={
                    "certificate_file": _joined(folder, config.web.certificate_file),
                    "key_file": _joined(folder, config.web.key_file),
                }
            ),
        }
    )


def _anchored_models(models: ModelsConfig, folder: Path) -> ModelsConfig:
    installed = folder / models.installed
    chosen = "bundle" in models.model_fields_set
    return models.model_copy(
        update={
            "bundle": folder / models.bundle if chosen else bundle_in_use(installed),
            "installed": installed,
            "trusted_keys": folder / models.trusted_keys,
            "engine_cache": _joined(folder, models.engine_cache),
            "easyocr_folder": _joined(folder, models.easyocr_folder),
        }
    )


def _joined(folder: Path, path: Path | None) -> Path | None:
    return path and folder / path


def _anchored_mqtt(mqtt: MqttConfig, folder: Path) -> MqttConfig:
    keys = ("ca_file", "certificate_file", "key_file", "password_file")
    files = {key: path for key in keys if (path := getattr(mqtt, key))}
    return mqtt.model_copy(update={key: _credential(path, folder) for key, path in files.items()})


def _credential(path: Path, folder: Path) -> Path:
    """The file that systemd hands over under this name (systemd.exec(5), CREDENTIALS), or ours."""
    handed_over = Path(os.environ.get("CREDENTIALS_DIRECTORY", folder)) / path
    return handed_over if handed_over.exists() else folder / path


def _anchored_camera(camera: CameraConfig, folder: Path) -> CameraConfig:
    url = camera.url if "://" in camera.url else str(folder / camera.url)
    events = camera.events and _anchored_events(camera.events, folder)
    return camera.model_copy(update={"url": url, "events": events})


def _anchored_events(events: EventsConfig, folder: Path) -> EventsConfig:
    return events.model_copy(update={"formats": _joined(folder, events.formats)})


def _anchored_webhook(webhook: WebhookConfig, folder: Path) -> WebhookConfig:
    secret = webhook.secret_file and _credential(webhook.secret_file, folder)
    return webhook.model_copy(
        update={"secret_file": secret, "ca_file": _joined(folder, webhook.ca_file)}
    )
