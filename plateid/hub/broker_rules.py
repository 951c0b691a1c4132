"""Writes the rules of a broker: a device writes its own topics only, and reads what is sent to it.

Client certificates name their users: `CN=gate` is the device gate, `CN=hub` the hub. The templates
are in rules/.
"""

from collections.abc import Iterable
from importlib import resources
from typing import Any

from jinja2 import Template

HUB = "hub"
"""Name in the certificate of the hub; no device may have it."""


def mosquitto_rules(prefix: str, folder: str) -> dict[str, str]:
    """Returns mosquitto's files by their names; `folder` has the certificates. For any device."""
    return _filled("mosquitto.conf", folder=folder) | _filled("plateid.acl", prefix=prefix)


def nats_rules(prefix: str, folder: str, devices: Iterable[str]) -> dict[str, str]:
    """Returns the file of a NATS node by its name; NATS needs the names of all devices."""
    return _filled("plateid-rules.conf", prefix=prefix, folder=folder, devices=sorted(devices))


def _filled(name: str, **values: Any) -> dict[str, str]:
    text = resources.files("plateid.hub").joinpath("rules", name).read_text()
    template = Template(text, trim_blocks=True, keep_trailing_newline=True)
    return {name: template.render(hub=HUB, **values)}
