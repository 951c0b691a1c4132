"""`plateid.toml`: one file, every key described, unknown keys refused."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from plateid.errors import ConfigError

Name = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
Probability = Annotated[float, Field(ge=0, le=1)]
SHIPPED = Path(__file__).parent / "models"
DEFAULT_BUNDLE = SHIPPED / "default"


def shipped_bundles() -> tuple[str, ...]:
    """Names of the bundles that ship with plateid, the default first."""
    names = (file.parent.name for file in SHIPPED.glob("*/bundle.toml"))
    return tuple(sorted(names, key=lambda name: (name != DEFAULT_BUNDLE.name, name)))


def bundle_path(bundle: Any) -> Any:
    """The folder of a bundle that ships, where text is its name; all else is left as it is."""
    return SHIPPED / bundle if bundle in shipped_bundles() else bundle


class Section(BaseModel):
    """A table of the file: immutable, nothing unknown, relative paths are relative to the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CameraConfig(Section):
    """Section `[[camera]]`."""

    name: Name = Field(description="Name in topics and events: letters, digits, - and _")
    url: str = Field(
        min_length=1,
        description="rtsp://, http(s)://, /dev/videoN, or the path of a clip that is played once",
    )
    loop: bool = Field(default=False, description="Play a clip again and again")


class MqttConfig(Section):
    """Section `[mqtt]`."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Broker")
    port: int = Field(default=1883, ge=1, le=65535, description="Port of the broker")
    username: str | None = Field(default=None, description="User at the broker")
    password_file: Path | None = Field(default=None, description="File that holds the password")
    prefix: Name = Field(default="plateid", description="First level of every topic")


class ModelsConfig(Section):
    """Section `[models]`."""

    bundle: Annotated[Path, BeforeValidator(bundle_path)] = Field(
        default=DEFAULT_BUNDLE,
        description="Model bundle: the name of one that ships (default, accurate), or a directory",
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
    workers: int = Field(default=1, ge=1, le=64, description="Inferences at the same time")


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
    regions: tuple[str, ...] = Field(
        default=(),
        description="Countries to expect, as in ro, gb, de; eu: all of the Union; empty: any",
    )

    @model_validator(mode="after")
    def _sure_is_surer(self) -> "EventsConfig":
        if self.sure_confidence < self.min_confidence:
            raise ValueError("sure_confidence is lower than min_confidence")
        return self


class StoreConfig(Section):
    """Section `[store]`."""

    path: Path = Field(
        default=Path("plateid.sqlite3"), description="Event store; created when missing"
    )


class Config(Section):
    """The whole of `plateid.toml`."""

    device: Name = Field(default="plateid", description="Name of this box in topics and events")
    camera: tuple[CameraConfig, ...] = Field(min_length=1, description="Cameras")
    mqtt: MqttConfig = MqttConfig()
    models: ModelsConfig = ModelsConfig()
    events: EventsConfig = EventsConfig()
    store: StoreConfig = StoreConfig()

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Config":
        names = [camera.name for camera in self.camera]
        if repeated := {name for name in names if names.count(name) > 1}:
            message = f"camera name used twice: {', '.join(sorted(repeated))}"
            raise ValueError(message)
        return self


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
        first = error.errors()[0]
        raise ConfigError(f"{path}: {_key(first['loc'])}", _reason(first)) from error
    return _anchored(config, path.resolve().parent)


def _key(location: tuple[int | str, ...]) -> str:
    """`('camera', 0, 'url')` as `camera[0].url`."""
    dotted = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return dotted.lstrip(".") or "whole file"


def _reason(error: Any) -> str:
    return re.sub("^Value error, ", "", error["msg"])


def _anchored(config: Config, folder: Path) -> Config:
    password_file, engine_cache = config.mqtt.password_file, config.models.engine_cache
    return config.model_copy(
        update={
            "camera": tuple(_anchored_camera(camera, folder) for camera in config.camera),
            "models": config.models.model_copy(
                update={
                    "bundle": folder / config.models.bundle,
                    "engine_cache": engine_cache and folder / engine_cache,
                }
            ),
            "store": config.store.model_copy(update={"path": folder / config.store.path}),
            "mqtt": config.mqtt.model_copy(
                update={"password_file": password_file and folder / password_file}
            ),
        }
    )


def _anchored_camera(camera: CameraConfig, folder: Path) -> CameraConfig:
    return (
        camera
        if "://" in camera.url
        else camera.model_copy(update={"url": str(folder / camera.url)})
    )
