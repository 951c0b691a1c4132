"""Environment variables that set values of `plateid.toml`, as compose files need them.

PLATEID_MQTT_HOST sets `mqtt.host`, PLATEID_CAMERA_GATE the address of the camera `gate`, and
PLATEID_CAMERA_GATE_FILE names a file that holds it: a secret of Docker.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

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
        match key, table.get(key[0], {}):
            case ("camera", name), [*cameras]:
                table["camera"] = list(_with_camera(cameras, name, value))
            case (section, name), dict() as values:
                table[section] = values | {name: value}
            case (name,), _:
                table[name] = value
    return table


def _with_camera(cameras: list[Any], name: str, url: str) -> Iterator[Any]:
    """Sets the address of a camera, or adds one; case and hyphens of its name do not count."""
    found = [_is_named(each, name) for each in cameras]
    yield from (c | {"url": url} if hit else c for c, hit in zip(cameras, found, strict=True))
    if not any(found):
        yield {"name": name, "url": url}


def names_of(table: Mapping[str, Any]) -> dict[tuple[int | str, ...], str]:
    """Returns the name of the variable that has set a value of the table, by its location."""
    cameras = table["camera"] if isinstance(table["camera"], list) else ()
    names: dict[tuple[int | str, ...], str] = {}
    for key, (name, _) in variables().items():
        numbers = (n for n, each in enumerate(cameras) if _is_named(each, key[-1]))
        at = ("camera", next(numbers, 0), "url") if key[0] == "camera" else key
        names[at] = name
    return names


def value_of(key: tuple[str, ...], table: Mapping[str, Any]) -> Any:
    """Returns the value in the table of a file that a variable sets, None if there is none."""
    value = table.get(key[0])
    match key, value:
        case ("camera", name), [*cameras]:
            return next((each.get("url") for each in cameras if _is_named(each, name)), None)
        case (_, name), dict():
            return value.get(name)
    return value


def _is_named(camera: Any, name: str) -> bool:
    return isinstance(camera, dict) and str(camera.get("name")).lower().replace("-", "_") == name
