"""Reads `plateid.toml`, and the paths in it as relative to its folder."""

import os
import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from plateid.config.cameras import CameraConfig
from plateid.config.models import ModelsConfig, bundle_in_use
from plateid.config.outputs import WebhookConfig
from plateid.config.root import Config
from plateid.config.section import Section
from plateid.config.storage import StoreConfig
from plateid.errors import ConfigError, reason_of

S = TypeVar("S", bound=Section)
SERVICE_FOLDER, STATE_FOLDER = Path("/etc/plateid"), Path("/var/lib/plateid")
MQTT_FILES = ("ca_file", "certificate_file", "key_file", "password_file")
CREDSTORE = Path("/etc/credstore")
CREDENTIALS = frozenset({"mqtt-password", "mqtt-key", "webhook-secret", "web-key"})
"""What the unit of the service hands over from there."""
"""From where systemd takes the credentials of the service."""


def load_config(path: Path) -> Config:
    """Reads and checks a configuration file; its relative paths become relative to its folder.

    Raises:
        ConfigError: The file cannot be read, is not TOML, or a key is wrong; names the key.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(path, reason_of(error)) from error
    try:
        config = Config.model_validate(table)
    except ValidationError as error:
        key, reason = first_problem(error)
        raise ConfigError(f"{path}: {key}", reason) from error
    return _anchored(config, path.resolve().parent)


def first_problem(error: ValidationError) -> tuple[str, str]:
    """Where it is, as `camera[0].url`, and what is wrong there.

    What is wrong in `[events]` is in `camera[0].events` as well, and is told where it was written.
    """
    first, *others = error.errors()
    place = next((e["loc"] for e in others if first["loc"][-len(e["loc"]) :] == e["loc"]), None)
    dotted = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place or first["loc"])
    return dotted.lstrip(".") or "whole file", first["msg"].removeprefix("Value error, ")


def _anchored(config: Config, folder: Path) -> Config:
    return config.model_copy(
        update={
            "camera": tuple(_anchored_camera(camera, folder) for camera in config.camera),
            "models": _anchored_models(config.models, folder),
            "events": _joined(config.events, folder, "formats"),
            "lists": _joined(config.lists, folder, "file"),
            "webhook": tuple(_anchored_webhook(webhook, folder) for webhook in config.webhook),
            "logfile": _joined(config.logfile, folder, "csv", "jsonl"),
            "store": _anchored_store(config.store, folder),
            "mqtt": _with_credentials(config.mqtt, folder, *MQTT_FILES),
            "web": _with_credentials(config.web, folder, "certificate_file", "key_file"),
        }
    )


def _anchored_models(models: ModelsConfig, folder: Path) -> ModelsConfig:
    keys = ("bundle", "installed", "trusted_keys", "engine_cache", "easyocr_folder")
    joined = _joined(models, folder, *keys)
    if "bundle" in models.model_fields_set:
        return joined
    return joined.model_copy(update={"bundle": bundle_in_use(joined.installed)})


def _joined(section: S, folder: Path, *keys: str) -> S:
    """The section, with its paths at these keys relative to the folder."""
    paths = {key: path for key in keys if (path := getattr(section, key))}
    return section.model_copy(update={key: folder / path for key, path in paths.items()})


def _anchored_store(store: StoreConfig, folder: Path) -> StoreConfig:
    """The service may not write beside its configuration."""
    if folder == SERVICE_FOLDER and "path" not in store.model_fields_set:
        folder = STATE_FOLDER
    return _joined(store, folder, "path")


def _with_credentials(section: S, folder: Path, *keys: str) -> S:
    """The section, with what is in its files at these keys from wherever it is handed over."""
    files = {key: path for key in keys if (path := getattr(section, key))}
    return section.model_copy(
        update={key: _credential(path, folder) for key, path in files.items()}
    )


def _credential(path: Path, folder: Path) -> Path:
    """What systemd hands over under this name (systemd.exec(5), CREDENTIALS), ours, or its source.

    The last is for `plateid check` as root, to which nothing is handed over.
    """
    folders = [Path(os.environ.get("CREDENTIALS_DIRECTORY", folder)), folder]
    if str(path) in CREDENTIALS:
        folders.append(CREDSTORE)
    found = (file for each in folders if os.access(file := each / path, os.F_OK))
    return next(found, folder / path)


def _anchored_camera(camera: CameraConfig, folder: Path) -> CameraConfig:
    url = camera.url if "://" in camera.url else str(folder / camera.url)
    events = camera.events and _joined(camera.events, folder, "formats")
    return camera.model_copy(update={"url": url, "events": events})


def _anchored_webhook(webhook: WebhookConfig, folder: Path) -> WebhookConfig:
    return _with_credentials(_joined(webhook, folder, "ca_file"), folder, "secret_file")
