"""Environment variables that set values of `plateid.toml`, as compose files need them.

PLATEID_MQTT_HOST sets `mqtt.host`, PLATEID_CAMERA_GATE the address of the camera `gate`, and
PLATEID_CAMERA_GATE_FILE names a file that holds it: a secret of Docker.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from plateid.config.problems import Location, value_at
from plateid.config.root import Config
from plateid.config.section import Section
from plateid.errors import ConfigError, errors_as
from plateid.files import read_text

KEYS: dict[str, tuple[str, ...]] = {
    f"PLATEID_{section}_{key}".upper(): (section, key)
    for section, field in Config.model_fields.items()
    if isinstance(field.default, Section)
    for key in type(field.default).model_fields
} | {"PLATEID_DEVICE": ("device",)}
"""Section and key that each variable sets, besides those of cameras."""


def variables() -> dict[tuple[str, ...], tuple[str, Any]]:
    """Returns name and value of each variable, by section and key, or `camera` and its name.

    Raises ConfigError if a variable sets no key, or one that another sets, or its file cannot be
    read.
    """
    found: dict[tuple[str, ...], tuple[str, Any]] = {}
    for name, text in sorted(os.environ.items()):
        if re.match("PLATEID_(?!SERVICE|PORT)", name):  # those are of Kubernetes
            key = _key_of(name)
            if key in found:
                raise ConfigError(name, f"{found[key][0]} sets the same key: unset one of them")
            found[key] = name, _value(name, text)
    return found


def _key_of(name: str) -> tuple[str, ...]:
    short = name if name in KEYS else name.removesuffix("_FILE")
    if short in KEYS:
        return KEYS[short]
    if camera := short.partition("PLATEID_CAMERA_")[2]:
        return "camera", camera.lower()
    close = get_close_matches(name, KEYS, n=1)
    raise ConfigError(name, "sets no key" + (f": did you mean {close[0]}?" if close else ""))


def _value(name: str, text: str) -> Any:
    """Returns a value in TOML's form, or else the text itself, which needs no quotes."""
    if name.endswith("_FILE") and name not in KEYS:
        subject = name if "://" in text else f"{name}: {text}"  # an address may hold a password
        with errors_as(ConfigError, subject, OSError, UnicodeDecodeError):
            text = read_text(Path(text)).strip()
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def with_variables(table: dict[str, Any]) -> dict[str, Any]:
    """Returns the table of a file with the values of variables, which have priority."""
    table = {"camera": []} | table
    for key, (_, value) in variables().items():
        match location_of(key, table), table.get(key[0], {}):
            case (_, int(number), name), [*cameras]:
                camera = {"name": key[1]} if number == len(cameras) else cameras[number]
                cameras[number : number + 1] = [camera | {name: value}]
                table["camera"] = cameras
            case (str(section), str(name)), dict() as values:
                table[section] = values | {name: value}
            case (str(name),), _:
                table[name] = value
    return table


def location_of(key: tuple[str, ...], table: Mapping[str, Any]) -> Location:
    """Returns where a variable sets its value in the table of a file.

    Case and hyphens of a camera's name do not count; a camera that is not there is the next one.
    """
    if key[0] != "camera":
        return key
    cameras = table["camera"] if isinstance(table.get("camera"), list) else []
    numbers = (number for number, each in enumerate(cameras) if _is_named(each, key[1]))
    return "camera", next(numbers, len(cameras)), "url"


def names_of(table: Mapping[str, Any]) -> dict[Location, str]:
    """Returns the name of the variable that has set a value of the table, by its location."""
    return {location_of(key, table): name for key, (name, _) in variables().items()}


def value_of(key: tuple[str, ...], table: Mapping[str, Any]) -> Any:
    """Returns the value in the table of a file that a variable sets, None if there is none."""
    return value_at(location_of(key, table), table)


def _is_named(camera: Any, name: str) -> bool:
    return isinstance(camera, dict) and str(camera.get("name")).lower().replace("-", "_") == name
