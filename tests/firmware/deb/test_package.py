"""Tests of the package in a clean Debian 13, in this order: install, upgrades, remove, purge.

apt takes the newest version from a signed repository over HTTP, as users do.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from plateid.demo import DEMO_VIDEO
from tests.firmware.debian import (
    APT,
    INSTALL,
    build_package,
    debian,
    gnupg_keys,
    older,
    publish,
)
from tests.support.broker import Broker, Subscriber, until
from tests.support.file_server import FileServer
from tests.systemd.machine import Container

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="containers need root: see Makefile"),
    pytest.mark.timeout(600),  # the fixture downloads a Debian system
]
SERVICE_TIMEOUT_S = 60
CONFIG = Path("etc/plateid/plateid.toml")
STATE = ("var/lib/private/plateid", "var/lib/plateid-models", "etc/plateid")


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    return build_package(tmp_path_factory.mktemp("package"), "amd64")


@pytest.fixture(scope="module")
def broker(tmp_path_factory) -> Iterator[Broker]:
    with closing(Broker(tmp_path_factory.mktemp("broker"))) as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def repository(tmp_path_factory, package) -> Iterator[FileServer]:
    folder = tmp_path_factory.mktemp("apt")
    with closing(FileServer()) as made, gnupg_keys("releases") as keys:
        made.files = publish(folder, keys, package, url=made.url)
        yield made


@pytest.fixture(scope="module")
def device(tmp_path_factory, package, repository) -> Iterator[Container]:
    root = debian(tmp_path_factory.mktemp("debian") / "root", "amd64")
    (root / "packages").mkdir()
    shutil.copy(older(package), root / "packages/older.deb")
    apt = root / "etc/apt"
    for name, place in (("asc", "keyrings"), ("sources", "sources.list.d")):
        (apt / place / f"plateid.{name}").write_bytes(repository.files[f"plateid.{name}"])
    with closing(Container(root)) as made:
        made.start("--resolv-conf=replace-host")
        yield made


def run_ok(device: Container, *command: str) -> str:
    """Runs a command in the container, which must succeed; returns its output."""
    result = device.run(*command)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def downgrade(device: Container) -> None:
    keep = ("-o", "Dpkg::Options::=--force-confold")
    run_ok(device, *INSTALL, "--allow-downgrades", *keep, "/packages/older.deb")


def configure(device: Container, port: int) -> None:
    shutil.copy(DEMO_VIDEO, device.root / "etc/plateid/demo.mp4")
    (device.root / CONFIG).write_text(
        f"""
camera = [{{name = "gate", url = "demo.mp4", loop = true}}]
mqtt.port = {port}
store.path = "/var/lib/plateid/plateid.sqlite3"
"""
    )


def test_install_does_not_start_the_service(device):
    run_ok(device, *APT, "update")
    output = run_ok(device, *INSTALL, "plateid")
    assert "systemctl enable --now plateid. Then set it up at http://127.0.0.1:8480\n" in output
    assert run_ok(device, "plateid", "--version").startswith("plateid, version ")
    states = [device.show(key) for key in ("LoadState", "ActiveState", "UnitFileState")]
    assert states == ["loaded", "inactive", "disabled"]
    stat = run_ok(device, "stat", "-c", "%A %U %G", "/etc/plateid")
    assert stat == "drwxr-x--- root plateid-config\n"
    assert run_ok(device, "systemd-analyze", "verify", "plateid.service") == ""
    assert run_ok(device, "dpkg", "--verify", "plateid") == ""


def test_upgrade_deletes_an_unchanged_example_and_starts_the_set_up(device):
    downgrade(device)
    assert (device.root / CONFIG).exists()
    device.systemctl("enable", "--now", "plateid")
    run_ok(device, *APT, "upgrade")
    assert not (device.root / CONFIG).exists()
    until(lambda: "waits for its set-up" in device.show("StatusText"), SERVICE_TIMEOUT_S)
    assert "web UI: http://127.0.0.1:8" in device.journal()


def test_plateid_check_passes_and_service_publishes_plates(device, broker):
    configure(device, broker.port)
    checks = run_ok(device, "plateid", "check", "-c", f"/{CONFIG}").splitlines()
    assert {line.split()[0] for line in checks} <= {"ok", "warn"}
    with closing(Subscriber(broker.port)) as subscriber:
        device.systemctl("restart", "plateid")
        until(subscriber.events, SERVICE_TIMEOUT_S)
    assert run_ok(device, "systemctl", "--failed", "--quiet") == ""


def test_upgrade_keeps_the_configuration_and_restarts_the_service(device):
    downgrade(device)
    configured, pid = (device.root / CONFIG).read_text(), device.show("MainPID")
    run_ok(device, *APT, "upgrade")
    assert (device.root / CONFIG).read_text() == configured
    assert device.show("MainPID") not in {"0", pid}
    until(lambda: "1 of 1 camera online" in device.show("StatusText"), SERVICE_TIMEOUT_S)
    assert device.show("UnitFileState") == "enabled"


def test_remove_keeps_data_and_configuration(device):
    run_ok(device, *APT, "remove", "plateid")
    assert not (device.root / "opt/plateid").exists()
    assert device.show("LoadState") == "not-found"
    assert [name for name in (*STATE, CONFIG) if not (device.root / name).exists()] == []
    assert run_ok(device, "find", "/etc/systemd", "-name", "*plateid*") == ""


def test_purge_deletes_everything(device):
    run_ok(device, *APT, "purge", "plateid")
    found = run_ok(device, "find", "/", "-xdev", "-path", "*plateid*").splitlines()
    kept = ("/packages/", "/etc/apt/", "/var/cache/apt/")
    assert [path for path in found if not path.startswith(kept)] == []
    assert device.run("getent", "group", "plateid-config").returncode == 2
