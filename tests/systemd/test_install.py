"""`plateid models install` while the service runs: it tries the bundle first."""

import http.client
import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.support.broker import Broker, free_port, until
from tests.support.packed import write_keys, write_packed
from tests.support.videos import write_video
from tests.systemd.machine import PROGRAM, Machine

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="containers need root: see Makefile"),
    pytest.mark.timeout(600),  # each install starts two services
]
PATIENCE_S = 60
WEB_PORT = free_port()
SET_TRIAL = """-c "import plateid.bundles.install as i
i.TRIAL_S = {}
from plateid.commands.main import main
main(prog_name='plateid')" models install"""
"""Runs `plateid models install` with another duration of the trial."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory) -> Iterator[Broker]:
    with closing(Broker(tmp_path_factory.mktemp("broker"))) as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> Path:
    """Returns signed bundles: three that work, and one that needs too much memory."""
    folder = tmp_path_factory.mktemp("archives")
    key = write_keys(folder, "ours")
    for name in ("one", "two", "three"):
        write_packed(folder, key, name=name)
    write_packed(folder, key, name="hungry", detector=hungry_detector())
    return folder


@pytest.fixture(scope="module")
def machine(tmp_path_factory, broker, archives) -> Iterator[Machine]:
    with closing(Machine(tmp_path_factory.mktemp("machine"))) as made:
        etc = made.root / "etc"
        write_video(etc / "plateid/video.mp4", count=45)
        (archives / "trusted").rename(etc / "plateid/keys")
        for archive in archives.glob("*.tar*"):
            archive.rename(etc / archive.name)
        (etc / "plateid/plateid.toml").write_text(
            f"""
camera = [{{name = "gate", url = "video.mp4", loop = true}}]
mqtt.port = {broker.port}
web = {{enabled = true, port = {WEB_PORT}}}
store.path = "/var/lib/plateid/plateid.sqlite3"
"""
        )
        made.start()
        yield made


@pytest.fixture
def service(machine) -> Iterator[Machine]:
    machine.systemctl("start", "plateid")
    until(lambda: "1 of 1 camera online" in machine.show("StatusText"))
    if active(machine) != "one":
        install(machine, "one")
    yield machine
    machine.systemctl("stop", "plateid")
    drop_in(machine, "")


def hungry_detector() -> bytes:
    """Returns a detector that needs a gigabyte for each image."""
    plate = np.array([32, 16, 20, 8, 0.9], np.float32).reshape(1, 5, 1)
    size = 1 << 28
    nodes = [
        helper.make_node("ReduceMin", ["x"], ["least"], keepdims=0),
        helper.make_node("Expand", ["least", "size"], ["filled"]),
        helper.make_node("ReduceMax", ["filled"], ["most"], keepdims=0),
        helper.make_node("Mul", ["most", "nothing"], ["zero"]),
        helper.make_node("Add", ["plate", "zero"], ["y"]),
    ]
    values = {
        "size": np.array([size], np.int64),
        "nothing": np.zeros(1, np.float32),
        "plate": plate,
    }
    graph = helper.make_graph(
        nodes,
        "hungry",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, plate.shape)],
        [onnx.numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()


def drop_in(machine: Machine, text: str) -> None:
    folder = machine.root / "etc/systemd/system/plateid.service.d"
    folder.mkdir(exist_ok=True)
    (folder / "test.conf").write_text(text)
    machine.systemctl("daemon-reload")


def installer(machine: Machine, trial_s: int) -> tuple[str, ...]:
    """Returns the command of an install whose trial takes `trial_s`."""
    program = machine.root / f"opt/plateid/bin/install-{trial_s}"
    program.write_text(PROGRAM.replace("-m plateid", SET_TRIAL.format(trial_s)))
    program.chmod(0o755)
    return (f"/opt/plateid/bin/{program.name}",)


def install(machine: Machine, name: str, trial_s: int = 3) -> tuple[int, str]:
    """Installs a bundle with a shorter trial; returns the exit code and the last line."""
    done = machine.run(*installer(machine, trial_s), f"/etc/{name}.tar")
    assert "Traceback" not in done.stderr
    return done.returncode, (done.stderr or done.stdout).splitlines()[-1]


def active(machine: Machine) -> str:
    link = machine.root / "var/lib/plateid-models/active"
    return link.readlink().name.split("-")[0] if link.is_symlink() else "default"


def running(machine: Machine) -> str:
    """Returns the bundle that the service logged last."""
    log = machine.run("journalctl", "--no-pager", "-o", "cat", "-u", "plateid").stdout
    starts = [line for line in log.splitlines() if "started" in line and "bundle=" in line]
    return starts[-1].split("bundle=")[1].split()[0]


def test_service_tries_a_bundle_before_it_is_activated(service):
    pid = service.show("MainPID")
    for name in ("two", "one"):
        code, line = install(service, name)
        assert (code, line.split("-")[0]) == (0, f"in use    {name}"), line
        assert (active(service), running(service)) == (name, name)
    assert service.show("MainPID") != pid
    assert service.run("test", "-L", "/run/plateid-trial").returncode == 1


def test_bundle_that_crashes_the_service_is_rolled_back(service):
    peak = service.run("sh", "-c", f"grep VmPeak /proc/{service.show('MainPID')}/status")
    drop_in(service, f"[Service]\nLimitAS={int(peak.stdout.split()[1]) + 400_000}K\n")
    code, line = install(service, "hungry", trial_s=60)
    assert (code, line) == (1, "plateid.service: ended: see journalctl -u plateid.service")
    assert (active(service), running(service)) == ("one", "one")
    until(lambda: "1 of 1 camera online" in service.show("StatusText"))


def test_bundle_that_keeps_the_service_from_starting_is_rolled_back(service):
    drop_in(service, "[Service]\nExecStartPre=test ! -e /run/plateid-trial\n")
    code, line = install(service, "two")
    assert (code, line) == (
        1,
        "plateid.service: does not start: see journalctl -u plateid.service",
    )
    assert (active(service), running(service)) == ("one", "one")


def test_terminated_install_is_rolled_back(service):
    command = (*installer(service, 600), "/etc/two.tar")
    service.run("systemd-run", "--collect", "--unit=install", *command)
    until(lambda: running(service) == "two", PATIENCE_S)
    service.systemctl("stop", "install")
    until(lambda: running(service) == "one", PATIENCE_S)
    assert active(service) == "one"


def test_power_cut_during_a_trial_ends_it(service):
    command = (*installer(service, 600), "/etc/three.tar")
    service.run("systemd-run", "--collect", "--unit=install", *command)
    until(lambda: running(service) == "three", PATIENCE_S)
    service.cut_power()
    service.start()
    service.systemctl("start", "plateid")
    until(lambda: "1 of 1 camera online" in service.show("StatusText"))
    assert running(service) == "one"


def test_full_disk_keeps_the_old_bundle_running(service):
    folder = "/var/lib/plateid-models"
    service.run("mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", folder)
    code, line = install(service, "two")
    service.run("umount", folder)
    assert (code, "No space left on device" in line) == (1, True), line
    assert (active(service), running(service)) == ("one", "one")


def test_service_itself_installs_a_bundle_that_comes_over_the_api(service):
    """It runs as a dynamic user and writes nothing but its state and the bundles.

    What an install by root left at a power cut does not keep it from that.
    """
    models = service.root / "var/lib/plateid-models"
    (models / ".new-root").mkdir(0o700)
    token = ("web", "new-token", "-c", "/etc/plateid/plateid.toml", "--scope", "install_models")
    made = service.run("/opt/plateid/bin/plateid", *token)
    archive = service.root / "etc/two.tar"
    headers = {
        "Authorization": f"Bearer {made.stdout.strip()}",
        "Content-Type": "application/x-tar",
        "X-Signature": archive.with_name("two.tar.sig").read_bytes().hex(),
    }
    with closing(http.client.HTTPConnection("localhost", WEB_PORT, timeout=60)) as connection:
        connection.request("POST", "/api/v1/models", archive.read_bytes(), headers)
        answer = connection.getresponse()
        status, body = answer.status, json.loads(answer.read())
    assert (status, body.get("error")) == (202, None)
    assert body["trial"]["state"] == "running"
    assert (active(service), running(service)) == ("one", "one")
    (folder,) = models.glob("two-*")
    assert folder.stat().st_mode & 0o777 == 0o775
