"""The package in a clean Debian 13: installed, upgraded, removed, purged; in this order."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from plateid.demo import DEMO_VIDEO
from tests.firmware.debian import APT, INSTALL, build_package, debian, newer
from tests.support.broker import Broker, Subscriber, until
from tests.systemd.machine import Container

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="containers need root: see Makefile"),
    pytest.mark.timeout(600),  # the whole of a Debian is fetched
]
PATIENCE_S = 60
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
def box(tmp_path_factory, package) -> Iterator[Container]:
    root = debian(tmp_path_factory.mktemp("debian") / "root", "amd64")
    (root / "packages").mkdir()
    shutil.copy(package, root / "packages/first.deb")
    shutil.copy(newer(package), root / "packages/newer.deb")
    with closing(Container(root)) as made:
        made.start("--resolv-conf=replace-host")
        yield made


def done(box: Container, *command: str) -> str:
    """What a command inside says; it has to work."""
    result = box.run(*command)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def configure(box: Container, port: int) -> None:
    shutil.copy(DEMO_VIDEO, box.root / "etc/plateid/demo.mp4")
    (box.root / CONFIG).write_text(
        f"""
camera = [{{name = "gate", url = "demo.mp4", loop = true}}]
mqtt.port = {port}
store.path = "/var/lib/plateid/plateid.sqlite3"
"""
    )


def test_it_is_installed_but_not_started_before_it_is_set_up(box):
    done(box, *APT, "update")
    said = done(box, *INSTALL, "/packages/first.deb")
    assert "Set up /etc/plateid/plateid.toml, then: systemctl enable --now plateid\n" in said
    assert done(box, "plateid", "--version").startswith("plateid, version ")
    states = [box.show(key) for key in ("LoadState", "ActiveState", "UnitFileState")]
    assert states == ["loaded", "inactive", "disabled"]
    stat = done(box, "stat", "-c", "%A %U %G", "/etc/plateid", f"/{CONFIG}").splitlines()
    assert stat == ["drwxr-x--- root plateid-config", "-rw-r----- root plateid-config"]
    assert done(box, "systemd-analyze", "verify", "plateid.service") == ""


def test_it_passes_its_check_and_the_service_delivers_plates(box, broker):
    configure(box, broker.port)
    checks = done(box, "plateid", "check", "-c", f"/{CONFIG}").splitlines()
    assert {line.split()[0] for line in checks} <= {"ok", "warn"}
    with closing(Subscriber(broker.port)) as subscriber:
        box.systemctl("enable", "--now", "plateid")
        until(subscriber.events, PATIENCE_S)
    assert done(box, "systemctl", "--failed", "--quiet") == ""


def test_an_upgrade_keeps_the_configuration_and_restarts_the_service(box):
    configured, pid = (box.root / CONFIG).read_text(), box.show("MainPID")
    done(box, *INSTALL, "-o", "Dpkg::Options::=--force-confdef", "/packages/newer.deb")
    assert (box.root / CONFIG).read_text() == configured
    assert box.show("MainPID") not in {"0", pid}
    until(lambda: "1 of 1 cameras online" in box.show("StatusText"), PATIENCE_S)
    assert box.show("UnitFileState") == "enabled"


def test_its_programs_are_as_they_were_packed(box):
    assert done(box, "dpkg", "--verify", "plateid").split() == ["??5??????", "c", f"/{CONFIG}"]


def test_removed_it_is_gone_but_for_what_is_the_users(box):
    (box.root / "var/lib/plateid-models").mkdir()
    done(box, *APT, "remove", "plateid")
    assert not (box.root / "opt/plateid").exists()
    assert box.show("LoadState") == "not-found"
    assert [name for name in (*STATE, CONFIG) if not (box.root / name).exists()] == []
    assert done(box, "find", "/etc/systemd", "-name", "*plateid*") == ""


def test_purged_it_leaves_nothing(box):
    done(box, *APT, "purge", "plateid")
    assert (
        done(box, "find", "/", "-xdev", "-path", "*plateid*", "-not", "-path", "/packages/*") == ""
    )
    assert box.run("getent", "group", "plateid-config").returncode == 2
