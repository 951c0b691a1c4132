"""plateid.service in a container with systemd, with a real broker."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.broker import Broker, until
from tests.support.bundles import detector_network, reader_network, write_bundle
from tests.support.videos import write_video
from tests.systemd.machine import Machine

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="containers need root: see Makefile")
DYNAMIC_USERS = range(61184, 65520)
"""User ids of DynamicUser= (UIDS-GIDS document of systemd)."""
QUICK_WATCHDOG = "[Service]\nWatchdogSec=8\nTimeoutAbortSec=1\n"


@pytest.fixture(scope="module")
def broker(tmp_path_factory) -> Iterator[Broker]:
    """A broker that accepts only plateid with its password."""
    with closing(Broker(tmp_path_factory.mktemp("broker"))) as made:
        made.options = "allow_anonymous false"
        made.set_passwords(plateid="right")
        made.start()
        yield made


@pytest.fixture(scope="module")
def machine(tmp_path_factory, broker) -> Iterator[Machine]:
    with closing(Machine(tmp_path_factory.mktemp("machine"))) as made:
        configure(made, broker.port)
        made.start()
        yield made


@pytest.fixture
def service(machine) -> Iterator[Machine]:
    """The machine with plateid running."""
    machine.systemctl("start", "plateid")
    until(lambda: status(machine).startswith("1 of 1 camera online"))
    yield machine
    machine.systemctl("stop", "plateid")


def configure(machine: Machine, port: int) -> None:
    etc = machine.root / "etc"
    network = detector_network([(32, 16, 20, 8, 0.9)])
    write_bundle(etc / "plateid/bundle", network, reader_network("-AA-B-11-2"))
    write_video(etc / "plateid/video.mp4", count=45)
    (etc / "credstore").mkdir(mode=0o700)
    (etc / "credstore/mqtt-password").write_text("right\n")
    (etc / "plateid/plateid.toml").write_text(
        f"""
camera = [{{name = "gate", url = "video.mp4", loop = true}}]
models.bundle = "bundle"
mqtt = {{port = {port}, username = "plateid", password_file = "mqtt-password"}}
store.path = "/var/lib/plateid/plateid.sqlite3"
"""
    )


def drop_in(machine: Machine, text: str) -> None:
    folder = machine.root / "etc/systemd/system/plateid.service.d"
    folder.mkdir(exist_ok=True)
    (folder / "test.conf").write_text(text)
    machine.systemctl("daemon-reload")


def status(machine: Machine) -> str:
    return machine.show("StatusText")


def store(machine: Machine) -> Path:
    return machine.root / "var/lib/private/plateid/plateid.sqlite3"


def start_without_store(machine: Machine) -> None:
    """Deletes the store first: the stationary vehicle of the video is published once per store."""
    for file in store(machine).parent.glob("plateid.sqlite3*"):
        file.unlink()
    machine.systemctl("start", "plateid")
    until(lambda: status(machine).startswith("1 of 1 camera online"))


def events(machine: Machine) -> tuple[int, int]:
    """Returns the numbers of events in the store and in the outbox."""
    path = store(machine)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute(
            "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM delivery)"
        ).fetchone()


def test_service_delivers_with_the_password_of_its_credential(service):
    assert (service.show("ActiveState"), service.show("WatchdogUSec")) == ("active", "30s")
    until(lambda: events(service)[0] >= 1 and events(service)[1] == 0)
    assert "outage" not in service.journal()


def test_service_runs_as_dynamic_user_and_config_is_not_world_readable(service):
    user = service.run("stat", "-c", "%u", f"/proc/{service.show('MainPID')}").stdout
    assert int(user) in DYNAMIC_USERS
    stat = service.run("stat", "-c", "%A %U %G", "/etc/plateid", "/etc/plateid/plateid.toml")
    assert stat.stdout.splitlines() == [
        "drwxr-x--- root plateid-config",
        "-rw-r----- root plateid-config",
    ]


def test_stopped_process_is_restarted_by_the_watchdog(machine):
    drop_in(machine, QUICK_WATCHDOG)
    start_without_store(machine)
    until(lambda: events(machine)[0])
    pid = machine.show("MainPID")
    machine.systemctl("kill", "--signal=STOP", "plateid")
    until(lambda: machine.show("NRestarts") == "1", 30)
    assert "Watchdog timeout" in machine.journal()
    until(lambda: status(machine).startswith("1 of 1 camera online"))
    assert machine.show("MainPID") != pid
    assert events(machine)[0] == 1
    machine.systemctl("stop", "plateid")
    assert events(machine)[0] == 2, "plate_left is missing"
    drop_in(machine, "")


def test_killed_process_is_restarted_and_keeps_its_store(service):
    service.systemctl("stop", "plateid")
    start_without_store(service)
    until(lambda: events(service) == (1, 0))
    pid = service.show("MainPID")
    service.systemctl("kill", "--signal=KILL", "plateid")
    until(lambda: service.show("MainPID") not in {"0", pid} and " online" in status(service))
    assert service.show("NRestarts") == "1"
    service.systemctl("stop", "plateid")
    assert events(service)[0] == 2, "plate_left is missing"


def test_reload_applies_valid_config_and_keeps_the_old_one_otherwise(service):
    file = service.root / "etc/plateid/plateid.toml"
    good, pid = file.read_text(), service.show("MainPID")

    def reload(text: str) -> None:
        file.write_text(text)
        service.systemctl("reload", "plateid")

    reload(good.replace("loop", "lop"))
    until(lambda: "refused" in status(service))
    message = 'unknown key "camera[0].lop": did you mean "loop"?'
    assert message in status(service)
    assert message.replace('"', '\\"') in service.journal()
    reload(good.replace("video.mp4", "gone.mp4").replace("[{", '[{name = "b", url = "b"}, {'))
    until(lambda: "0 of 1 camera online (offline: gate)" in status(service))
    assert "change needs a restart" in service.journal()
    reload(good)
    until(lambda: "1 of 1 camera online" in status(service))
    assert service.show("MainPID") == pid


def test_stop_takes_less_than_two_seconds_and_is_no_failure(service):
    stop = service.run("sh", "-c", "time -p systemctl stop plateid")
    assert float(stop.stderr.split()[1]) < 2
    assert service.show("Result") == "success"


@pytest.mark.parametrize(
    ("name", "tenths"), [(None, 15), ("openvino", 16), ("usb-camera", 17), ("jetson", 20)]
)
def test_exposure_level_is_low(machine, name, tenths):
    if name:
        drop_in(machine, (Path("systemd/drop-ins") / f"{name}.conf").read_text())
    analysis = machine.run(
        "systemd-analyze", "security", f"--threshold={tenths}", "plateid.service"
    )
    drop_in(machine, "")
    assert analysis.returncode == 0, analysis.stdout.splitlines()[-1]


def test_systemd_accepts_the_unit(machine):
    verify = machine.run("systemd-analyze", "verify", "plateid.service")
    assert (verify.returncode, verify.stderr) == (0, "")
