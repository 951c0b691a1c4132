"""Reads `plateid.toml`; relative paths in it are relative to its directory."""

import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from plateid.config.cameras import CameraConfig
from plateid.config.models import ModelsConfig, bundle_in_use
from plateid.config.outputs import WebhookConfig
from plateid.config.problems import Problem, line_of, problems_of
from plateid.config.root import Config
from plateid.config.section import Section
from plateid.config.storage import StoreConfig
from plateid.errors import ConfigError, InvalidConfigError, reason_of

S = TypeVar("S", bound=Section)
FILE = "plateid.toml"
SERVICE_FOLDER, STATE_FOLDER = Path("/etc/plateid"), Path("/var/lib/plateid")
OPTIONAL = tuple(
    name
    for name, field in Config.model_fields.items()
    if getattr(field.default, "enabled", True) is False
)
"""Sections that are off by default."""
MQTT_FILES = ("ca_file", "certificate_file", "key_file", "password_file")
CREDSTORE = Path("/etc/credstore")
"""Directory from which systemd takes the credentials of the service."""
CREDENTIALS = frozenset({"mqtt-password", "mqtt-key", "webhook-secret", "web-key"})
"""Names of the credentials that the service's unit loads from there."""


def default_config() -> Path:
    """Returns the configuration file in the current directory, else that of the service."""
    file = Path(FILE)
    return file if file.exists() else SERVICE_FOLDER / FILE


def load_config(path: Path) -> Config:
    """Reads and checks a configuration file and makes its relative paths absolute.

    Raises:
        ConfigError: The file cannot be read, is not TOML, or has wrong keys; names all of them.
    """
    try:
        text = path.read_text("utf-8-sig")
        table = tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(path, _syntax(reason_of(error))) from error
    problems = list(_unswitched(table))
    try:
        config = Config.model_validate(table)
    except ValidationError as error:
        problems += problems_of(error, Config)
    if problems:
        raise InvalidConfigError(path, _located(problems, text))
    return _anchored(config, path.resolve().parent)


def _syntax(reason: str) -> str:
    """Puts the place of a syntax error first, as in all other messages."""
    return re.sub(r"(?s)(.*) \(at (line \d+, column \d+)\)", r"\2: \1", reason)


def _unswitched(table: dict[str, Any]) -> Iterator[Problem]:
    """Finds optional sections that would have no effect."""
    for name in OPTIONAL:
        if isinstance(table.get(name), dict) and "enabled" not in table[name]:
            yield Problem((name,), f"{name}: set enabled = true, or false to keep it off")


def _located(problems: Iterable[Problem], text: str) -> list[str]:
    """Returns the problems with their lines, in the order of the file."""
    lines = [(line_of(text, problem.location), problem.text) for problem in problems]
    lines.sort(key=lambda line: line[0] or 0)
    return [f"line {number}: {words}" if number else words for number, words in lines]


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
    """Returns the section with the paths at these keys under the directory."""
    paths = {key: path for key in keys if (path := getattr(section, key))}
    return section.model_copy(update={key: folder / path for key, path in paths.items()})


def _anchored_store(store: StoreConfig, folder: Path) -> StoreConfig:
    """Returns the section; the service cannot write beside its configuration."""
    if folder == SERVICE_FOLDER and "path" not in store.model_fields_set:
        folder = STATE_FOLDER
    return _joined(store, folder, "path")


def _with_credentials(section: S, folder: Path, *keys: str) -> S:
    """Returns the section with the credentials at these keys where they are found."""
    files = {key: path for key in keys if (path := getattr(section, key))}
    return section.model_copy(
        update={key: _credential(path, folder) for key, path in files.items()}
    )


def _credential(path: Path, folder: Path) -> Path:
    """Returns the file that systemd loaded (systemd.exec(5), CREDENTIALS), ours, or its source.

    `plateid check` needs the last: systemd loads credentials for the service only.
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
