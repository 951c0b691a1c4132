"""`plateid enrol`: makes this device one of a hub's fleet."""

from pathlib import Path
from typing import Any

import click
from tomlkit import TOMLDocument

from plateid.commands.options import CONFIG
from plateid.config.edit import change_config, section, set_values
from plateid.config.load import load_config
from plateid.core.option_types import FilePath
from plateid.fleet_link import enrol as enrol_device
from plateid.fleet_link import link_folder


@click.command(epilog="Example: plateid enrol https://hub.example:8480 CODE")
@CONFIG
@click.argument("url")
@click.argument("code")
@click.option("--ca", type=FilePath(), help="PEM file of the CA of the hub's web certificate.")
def enrol(path: Path, *, url: str, code: str, ca: Path | None) -> None:
    """Make this device one of a hub's fleet.

    CODE is a one-time code of the hub's page Devices. The device makes a key, and the hub signs its
    certificate. The configuration gets the name of the device and the hub's broker.
    """
    store = load_config(path).store.path
    answer = enrol_device(url, code, store, ca)
    change_config(path, lambda document: _set(document, answer, link_folder(store)))
    click.echo(f"{path}: enrolled as {answer['device']}; restart plateid")


def _set(document: TOMLDocument, answer: dict[str, Any], folder: Path) -> None:
    document["device"] = answer["device"]
    secret = {"ca_file": "mqtt-ca.pem", "certificate_file": "mqtt.pem", "key_file": "mqtt.key"}
    files = {key: str(folder.resolve() / name) for key, name in secret.items()}
    set_values(section(document, "mqtt"), answer["mqtt"] | (files if answer["mqtt"]["tls"] else {}))
