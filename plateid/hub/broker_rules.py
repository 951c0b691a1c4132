"""Writes the rules of a broker: a device writes its own topics only, and reads what is sent to it.

Client certificates name their users: `CN=gate` is the device gate, `CN=hub` the hub. The templates
are in rules/.
"""

from importlib import resources
from typing import Any

from jinja2 import Template

HUB = "hub"
"""Name in the certificate of the hub; no device may have it."""


FILES = {"mosquitto": ("mosquitto.conf", "plateid.acl"), "nats": ("plateid-rules.conf",)}
"""Names of the files of each broker."""


def broker_rules(broker: str, **values: Any) -> dict[str, str]:
    """Returns the files of a broker, or of a NATS node, by their names.

    `values` are the `prefix` of topics, the `folder` of certificates, and `devices`, for NATS.
    """
    made = dict[str, str]()
    for name in FILES[broker]:
        text = resources.files("plateid.hub").joinpath("rules", name).read_text()
        template = Template(text, trim_blocks=True, keep_trailing_newline=True)
        made[name] = template.render(hub=HUB, **values)
    return made
