"""Environment variables that set values of `plateid.toml`, as compose files need them.

`PLATEID_MQTT_HOST=broker` sets `mqtt.host`, and `PLATEID_CAMERA_GATE=rtsp://...` the address of
the camera `gate`. `PLATEID_CAMERA_GATE_FILE` names a file that holds the value: a secret of Docker.
"""

import os
import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from plateid.config.root import Config
from plateid.config.section import Section
from plateid.errors import ConfigError, reason_of
from plateid.files import read_text

PREFIX = "PLATEID_"
SERVICE_LINK = re.compile(r"PLATEID_(SERVICE|PORT)(_.*)?")
"""Variables that Kubernetes and old versions of Docker set for a service named plateid."""
KEYS: dict[str, tuple[str, ...]] = {
    f"{PREFIX}{section}_{key}".upper(): (section, key)
    for section, field in Config.model_fields.items()
    if isinstance(field.default, Section)
    for key in type(field.default).model_fields
} | {"PLATEID_DEVICE": ("device",)}
"""Section and key that each variable sets, besides those of cameras."""


def variables() -> dict[tuple[str, ...], tuple[str, Any]]:
    """Returns name and value of each variable, by section and key, or `camera` and its name.

    Raises ConfigError if a variable sets no key, or its file cannot be read.
    """
    found = {name: text for name, text in sorted(os.environ.items()) if name.startswith(PREFIX)}
    return {
        _key_of(name): (name, _value(name, text))
        for name, text in found.items()
        if not SERVICE_LINK.fullmatch(name)
    }


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
        try:
            text = read_text(Path(text)).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(name, f"{text}: {reason_of(error)}") from error
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def with_variables(table: dict[str, Any]) -> dict[str, Any]:
    """Returns the table of a file with the values of variables, which have priority."""
    table = dict(table)
    for key, (_, value) in variables().items():
        match key, table.get(key[0], {}):
            case ("camera", name), _:
                table["camera"] = _with_camera(table.get("camera", []), name, value)
            case (section, name), dict() as values:
                table[section] = values | {name: value}
            case (name,), _:
                table[name] = value
    return table


def _with_camera(cameras: Any, name: str, url: str) -> Any:
    """Sets the address of a camera, or adds one; case and hyphens of its name do not count."""
    if not isinstance(cameras, list) or not all(isinstance(each, dict) for each in cameras):
        return cameras  # the check of the file refuses it
    names = [str(each.get("name")).lower().replace("-", "_") for each in cameras]
    if name not in names:
        return [*cameras, {"name": name, "url": url}]
    return [c | {"url": url} if n == name else c for c, n in zip(cameras, names, strict=True)]
