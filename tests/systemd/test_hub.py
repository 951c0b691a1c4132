"""The units of the hub in a container with systemd and PostgreSQL, with a real broker."""

import os
import urllib.request
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.hub.test_ingest import fresh
from tests.support.broker import Broker, Subscriber, free_port, is_open, until
from tests.systemd.machine import Machine

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="containers need root: see Makefile")
UNITS = ("plateid-hub", "plateid-hub-web")
BIN = "/usr/lib/postgresql/17/bin"
POSTGRES = [
    *("systemd-run", "--unit=postgres", "--property=DynamicUser=yes"),
    *("--property=StateDirectory=postgres", "--property=RuntimeDirectory=postgresql"),
    *("--property=KillSignal=SIGINT", "--property=Restart=always", "sh", "-c"),
    (
        f"cd /var/lib/postgres; [ -e data ] || {BIN}/initdb --no-sync -D data -U root -A peer"
        f" --locale=C.UTF-8; exec {BIN}/postgres -D data -k /run/postgresql"
        " -c listen_addresses= -c fsync=off"
    ),
]


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def broker(tmp_path_factory) -> Iterator[Broker]:
    """A broker that knows the hub by its password."""
    with closing(Broker(tmp_path_factory.mktemp("broker"))) as made:
        made.set_passwords(hub="right")
        made.start()
        yield made


@pytest.fixture(scope="module")
def machine(tmp_path_factory, broker, port) -> Iterator[Machine]:
    """Both services with the installed example, and a database of their user."""
    with closing(Machine(tmp_path_factory.mktemp("machine"))) as made:
        etc = made.root / "etc"
        (etc / "credstore").mkdir(mode=0o700)
        (etc / "credstore/mqtt-password").write_text("right\n")
        example = (etc / "plateid/hub.toml.example").read_text()
        text = example.replace("[mqtt]", f"[mqtt]\nport = {broker.port}")
        text = text.replace("[web]", f"[web]\nport = {port}").replace('# username = "hub"', "")
        text = text.replace('# password_file = "mqtt', 'username = "hub"\npassword_file = "mqtt')
        (etc / "plateid/hub.toml").write_text(text)
        made.start()
        assert made.run(*POSTGRES).returncode == 0
        until(lambda: made.run(*psql("SELECT 1")).returncode == 0, 60)
        for statement in (
            'CREATE ROLE "plateid-hub" LOGIN',
            'CREATE DATABASE plateid OWNER "plateid-hub"',
        ):
            assert made.run(*psql(statement)).returncode == 0
        made.systemctl("start", *UNITS)
        yield made
        made.systemctl("stop", *UNITS)
        assert [made.show("Result", unit) for unit in UNITS] == ["success", "success"]


def psql(statement: str, database: str = "postgres") -> list[str]:
    return [f"{BIN}/psql", "-h", "/run/postgresql", "-At", database, "-c", statement]


def stored(machine: Machine) -> list[str]:
    found = machine.run(*psql("SELECT seq FROM event ORDER BY seq", "plateid"))
    return found.stdout.split()


@pytest.fixture
def devices(broker) -> Iterator[Subscriber]:
    with closing(Subscriber(broker.port, "nothing")) as made:
        yield made


def test_services_store_events_and_serve_the_web_ui(machine, devices, port) -> None:
    devices.publish("plateid/box/gate/event", fresh(1).to_json())
    until(lambda: stored(machine) == ["1"])
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as page:
        assert page.status == 200
    assert (machine.root / "var/lib/private/plateid-hub/crl.pem").exists()
    for unit in UNITS:
        assert "outage" not in machine.journal(unit)


def test_killed_services_are_restarted_and_outlive_the_database(machine, devices, port) -> None:
    before = [machine.show("MainPID", unit) for unit in UNITS]
    machine.systemctl("kill", "--signal=KILL", *UNITS)
    devices.publish("plateid/box/gate/event", fresh(2).to_json())
    until(lambda: "2" in stored(machine))
    until(lambda: is_open(port))
    pids = [machine.show("MainPID", unit) for unit in UNITS]
    assert not {"0", *before} & {*pids}
    machine.systemctl("kill", "--signal=KILL", "postgres")
    devices.publish("plateid/box/gate/event", fresh(3).to_json())
    until(lambda: "3" in stored(machine), 60)
    assert [machine.show("MainPID", unit) for unit in UNITS] == pids


@pytest.mark.parametrize("unit", UNITS)
def test_exposure_level_is_at_most_1_5_and_systemd_accepts_the_unit(machine, unit) -> None:
    words = ("systemd-analyze", "security", "--threshold=15", f"{unit}.service")
    analysis = machine.run(*words)
    assert analysis.returncode == 0, analysis.stdout.splitlines()[-1]
    verify = machine.run("systemd-analyze", "verify", f"{unit}.service")
    assert (verify.returncode, verify.stderr) == (0, "")
