"""Reads `plateid.toml` and plate syntax; relative paths are relative to the file's directory."""

import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from plateid.config.cameras import EventsConfig
from plateid.config.environment import names_of, with_variables
from plateid.config.hub import HubConfig
from plateid.config.models import bundle_in_use
from plateid.config.outputs import CREATED_LISTS
from plateid.config.problems import Location, Problem, line_numbers, problems_of
from plateid.config.root import Config
from plateid.config.section import Section
from plateid.config.storage import StoreConfig
from plateid.core.formats import Formats, shipped_formats, with_tables
from plateid.errors import ConfigError, errors_as, printable, reason_of
from plateid.files import read_text

Model = TypeVar("Model", bound=Section)
FILE = "plateid.toml"
"""Default name of the configuration file."""
SERVICE_FOLDER, STATE_FOLDER = Path("/etc/plateid"), Path("/var/lib/plateid")
"""Directories of the service: its configuration and its data."""
OPTIONAL = tuple(
    name
    for name, field in Config.model_fields.items()
    if getattr(field.default, "enabled", True) is False
)
"""Sections that are off by default."""


def default_config() -> Path:
    """Returns the configuration in the current directory, else that of the service.

    That is the one in /etc, or else the one that the web UI of the service has written.
    """
    files = (Path(FILE), SERVICE_FOLDER / FILE, STATE_FOLDER / FILE)
    return next((file for file in files if os.access(file, os.F_OK)), SERVICE_FOLDER / FILE)


def is_service() -> bool:
    """Returns whether systemd runs this process as the service, which cannot write `/etc`."""
    return "STATE_DIRECTORY" in os.environ


def new_config() -> Path:
    """Returns where the set-up writes a configuration: in the service's state, else here."""
    return Path(os.environ.get("STATE_DIRECTORY", "")) / FILE


def load_config(path: Path) -> Config:
    """Reads and checks a configuration file and makes its relative paths absolute.

    Environment variables have priority. Raises ConfigError, which names all wrong keys and syntax.
    """
    text, table = _parsed(path, with_variables)
    problems = [
        Problem((name,), f"{name}: set enabled = true, or false to keep it off")
        for name in OPTIONAL
        if isinstance(table.get(name), dict) and "enabled" not in table[name]
    ]
    config = _validated(Config, path, (text, table), problems)
    return _with_defaults(config, path.resolve().parent)


def load_hub_config(path: Path) -> HubConfig:
    """Reads and checks the configuration file of the hub; raises ConfigError as `load_config`."""
    return _validated(HubConfig, path, _parsed(path, dict), [])


def is_hub_config(path: Path) -> bool:
    """Returns whether a configuration file is that of a hub; raises ConfigError."""
    return "database" in _parsed(path, dict)[1]


def _parsed(
    path: Path, changed: Callable[[dict[str, Any]], dict[str, Any]]
) -> tuple[str, dict[str, Any]]:
    """Returns the text of a file and its table, changed; raises ConfigError."""
    try:
        text = read_text(path)
        return text, changed(tomllib.loads(text))
    except (OSError, ValueError, RecursionError) as error:
        place = r"(?s)(.*) \(at (line \d+, column \d+)\)"
        reason = re.sub(place, r"\2: \1", reason_of(error))  # it comes first in all messages
        if isinstance(error, FileNotFoundError) and path == SERVICE_FOLDER / FILE:
            reason += f"; nor is there a {FILE} in this folder: name one with --config"
        raise ConfigError(path, reason) from error


def _validated(
    model: type[Model], path: Path, parsed: tuple[str, dict[str, Any]], problems: list[Problem]
) -> Model:
    """Returns the configuration of a file; raises ConfigError for these and its own problems."""
    text, table = parsed
    try:
        config = model.model_validate(table, context={"folder": path.resolve().parent})
    except ValidationError as error:
        problems += problems_of(error, model)
    if problems:
        reasons = _located(problems, text, names_of(table) if model is Config else {})
        failure = ConfigError(path, "; ".join(reasons))
        failure.lines = tuple(printable(f"{path}: {reason}") for reason in reasons)
        raise failure
    return config


def _located(problems: Sequence[Problem], text: str, names: Mapping[Location, str]) -> list[str]:
    """Returns a line for each problem, after its line of the file or the name of its variable."""
    numbers = line_numbers(text, (problem.location for problem in problems))
    lines = sorted(zip(numbers, problems, strict=True), key=lambda line: line[0] or 0)
    found = ((names.get(p.location) or (n and f"line {n}"), p.text) for n, p in lines)
    return [f"{at}: {reason}" if at else reason for at, reason in found]


def _with_defaults(config: Config, folder: Path) -> Config:
    """Sets the defaults that depend on the directory and on the installed bundles."""
    sections: dict[str, Section] = {}
    store = config.store
    if "path" not in store.model_fields_set:
        # the service cannot write beside its configuration
        base = STATE_FOLDER if folder == SERVICE_FOLDER else folder
        sections["store"] = store = StoreConfig(path=base / store.path)
    if "bundle" not in config.models.model_fields_set:
        update = {"bundle": bundle_in_use(config.models.installed)}
        sections["models"] = config.models.model_copy(update=update)
    created = store.path.with_name(CREATED_LISTS)
    if config.lists.file is None and os.access(created, os.F_OK):
        sections["lists"] = config.lists.model_copy(update={"file": created})
    return config.model_copy(update=sections)


def load_formats(path: Path | None) -> Formats:
    """Returns the shipped plate syntax and that of a user's file, which has priority.

    Raises ConfigError, which names the file, the line and the reason.
    """
    if path is None:
        return shipped_formats()
    with errors_as(ConfigError, path, OSError, UnicodeDecodeError):
        text = read_text(path)
    return with_tables(text, path)


def expected_formats(events: EventsConfig) -> Formats:
    """Returns the plate syntax that `[events]` expects.

    Raises ConfigError as `load_formats`; or if a region is unknown, or `strict` has no region.
    """
    formats = load_formats(events.formats)
    return formats.expecting(events.regions, key="events.regions", strict=events.strict)


def formats_of(config: Config) -> dict[str, Formats]:
    """Returns the plate syntax that each camera expects, by its name; raises ConfigError."""
    common = expected_formats(config.events)
    formats = {}
    for camera in config.camera:
        try:
            formats[camera.name] = expected_formats(camera.events) if camera.events else common
        except ConfigError as error:
            raise ConfigError(f"camera {camera.name}: {error.subject}", error.reason) from error
    return formats
