"""Writes and changes `plateid.toml`; comments stay."""

import re
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit import TOMLDocument
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT

from plateid.config.environment import value_of, variables
from plateid.config.load import load_config
from plateid.config.service import WebConfig
from plateid.errors import ConfigError, os_errors_as
from plateid.files import replace_text

LISTS = "plates.csv"
"""List file that a new configuration names."""
LISTS_HEADER = "plate,list,name,note,valid_from,valid_to,cameras\n"
NEW = resources.files("plateid.config").joinpath("new.toml").read_text()
"""A new configuration; DEVICE stands for the name of the device."""


def change_config(
    file: Path,
    change: Callable[[TOMLDocument], None],
    *,
    web: WebConfig | None = None,
    check: Callable[[Path], object] = load_config,
) -> None:
    """Changes a configuration file, or creates one with this address of the web UI.

    Raises ConfigError, and changes nothing, if that fails or `check` refuses the new file.
    """
    with os_errors_as(ConfigError, file):
        text = file.read_text("utf-8-sig") if file.exists() else _new_text(file)
        try:
            document = tomlkit.parse(text)
            if web is not None and not file.exists():
                _set_address(document, web)
            change(document)
            _check_variables(tomlkit.parse(text).unwrap(), document.unwrap())
        except (TOMLKitError, LookupError, ValueError, TypeError) as error:
            raise ConfigError(file, f"cannot be changed: {error}") from error
        replace_text(file, tomlkit.dumps(document), first=check)


def _check_variables(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Refuses to change a key that an environment variable sets, which would have no effect."""
    for key, (_, value) in variables().items():
        old, new = (value_of(key, table) for table in (before, after))
        if new not in (old, value):
            check_free(*key)


def check_free(*key: str) -> None:
    """Raises ConfigError if an environment variable sets a key."""
    if found := variables().get(key):
        raise ConfigError(".".join(key), f"the variable {found[0]} sets it")


def _new_text(file: Path) -> str:
    """Returns the text of a new file, and creates the list file that it names."""
    with suppress(FileExistsError), file.with_name(LISTS).open("x", encoding="utf-8") as lists:
        lists.write(LISTS_HEADER)
    device = re.sub("[^a-zA-Z0-9_-]", "-", socket.gethostname())[:64]
    return NEW.replace("DEVICE", device or "plateid")


def _set_address(document: TOMLDocument, web: WebConfig) -> None:
    for key in ("host", "port"):
        if (value := getattr(web, key)) != getattr(WebConfig(), key):
            document["web"][key] = value if isinstance(value, int) else str(value)


def set_values(table: Any, values: Mapping[str, Any]) -> None:
    """Sets keys of a table; empty values delete their key."""
    for key, value in values.items():
        if value:
            table[key] = value
        else:
            table.pop(key, None)


def section(document: TOMLDocument, name: str) -> Any:
    """Returns a section of the file, which is added if it is missing."""
    if name not in document:
        document[name] = tomlkit.table()
    return document[name]


def camera_table(document: TOMLDocument, name: str) -> Any:
    """Returns the [[camera]] table of this name; raises LookupError if there is none."""
    for table in document.get("camera", ()):
        if table["name"] == name:
            return table
    raise LookupError(f"no [[camera]] table named {name}")


def add_camera(document: TOMLDocument, values: Mapping[str, Any]) -> None:
    """Adds a [[camera]] table at the end."""
    table: Any = tomlkit.table()
    set_values(table, values)
    cameras: Any = document.get("camera")
    if isinstance(cameras, AoT):
        cameras[-1].add(tomlkit.nl())
        cameras.append(table)
    elif cameras:
        cameras.append(table.unwrap())
    else:
        document.pop("camera", None)
        document.add(tomlkit.nl())
        document.add("camera", tomlkit.item([table]))


def remove_camera(document: TOMLDocument, name: str) -> None:
    """Removes the [[camera]] table of this name; raises LookupError if there is none."""
    cameras: Any = document["camera"]
    cameras.remove(camera_table(document, name))
    if not cameras:
        del document["camera"]
