"""The files of compose.hub.yaml, checked with plateid and nats-server."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from plateid.config.load import load_config, load_hub_config

FOLDER = Path(__file__).parents[2] / "firmware/container"
SERVICES = yaml.safe_load((FOLDER / "compose.hub.yaml").read_text())["services"]


def test_hub_simulation_and_device_know_all_nodes() -> None:
    hub = load_hub_config(FOLDER / "hub/hub.toml")
    device = load_config(FOLDER / "hub/plateid.toml")
    nodes = [each["environment"] for name, each in SERVICES.items() if name.startswith("nats")]
    hosts = tuple(f"127.0.0.1:{node['DEVICES']}" for node in nodes)
    assert hub.mqtt.host == device.mqtt.host == hosts
    assert SERVICES["simulation"]["command"][-1] == ",".join(hosts)
    assert hub.nats.servers == tuple(f"nats://127.0.0.1:{node['CLIENTS']}" for node in nodes)
    routes = (FOLDER / "hub/nats.conf").read_text().split("routes: ")[1]
    assert [str(node["NODES"]) in routes for node in nodes] == [True] * 3


def test_services_that_read_a_path_of_hub_toml_mount_it() -> None:
    hub = load_hub_config(FOLDER / "hub/hub.toml")
    mounts = {
        name: dict(reversed(volume.split(":")[:2]) for volume in each.get("volumes", ()))
        for name, each in SERVICES.items()
    }
    commands = {name: each.get("command", ()) for name, each in SERVICES.items()}
    for name in (name for name, words in commands.items() if "/hub.toml" in words):
        assert (FOLDER / mounts[name]["/hub.toml"]).is_file(), name
    folder, keys = str(hub.folder.parent), str(hub.trusted_keys)
    assert (mounts["web"][folder], mounts["web"][keys]) == ("web", mounts["device"][keys])
    assert (FOLDER / mounts["web"][keys]).is_dir()


@pytest.mark.parametrize("name", ["nats-1", "nats-2", "nats-3"])
def test_nats_server_accepts_its_configuration(name: str, tmp_path: Path) -> None:
    file = tmp_path / "nats.conf"
    file.write_text((FOLDER / "hub/nats.conf").read_text().replace("/data", str(tmp_path)))
    values = {key: str(value) for key, value in SERVICES[name]["environment"].items()}
    words = [str(file) if word == "/nats.conf" else word for word in SERVICES[name]["command"]]
    command = ["/usr/sbin/nats-server", *words, "-t"]
    subprocess.run(command, env=os.environ | values, check=True, capture_output=True)


def test_only_the_web_ui_is_published_and_containers_have_no_privileges() -> None:
    published = {name: each["ports"] for name, each in SERVICES.items() if "ports" in each}
    assert published == {"machine": ["8480:8480"]}
    for name, each in SERVICES.items():
        if "PLATEID_HUB_IMAGE" in each["image"]:
            assert (each["read_only"], each["cap_drop"]) == (True, ["ALL"]), name
