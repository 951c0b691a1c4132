"""The arm64 package in a clean Debian 13 under emulation (qemu-user).

It tests that the package is complete and reads plates, not its speed and not systemd on arm64.
"""

import os
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import cv2
import pytest

from plateid.capture.video_file import read_video
from plateid.demo import DEMO_VIDEO
from tests.firmware.debian import APT, INSTALL, build_package, debian
from tests.support.broker import Broker

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="containers need root: see Makefile"),
    pytest.mark.timeout(3600),
]
NSPAWN = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=pipe"]
BRIGHT_DAY = 125
"""Frame of the demo video with two vehicles."""


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A Debian root with the package installed."""
    made = debian(tmp_path_factory.mktemp("debian") / "root", "arm64")
    package = build_package(tmp_path_factory.mktemp("package"), "arm64")
    shutil.copy(package, made / "plateid.deb")
    run(made, *APT, "update")
    run(made, *INSTALL, "/plateid.deb")
    return made


def run(root: Path, *command: str) -> str:
    """Runs a command that must succeed; returns its output."""
    inside = [*NSPAWN, "--resolv-conf=replace-host", f"--directory={root}", *command]
    done = subprocess.run(inside, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_both_bundles_read_plates(root):
    assert run(root, "uname", "-m") == "aarch64\n"
    for bundle in ("default", "accurate"):
        assert run(root, "plateid", "models", "verify", bundle).startswith("ok ")


def test_reads_an_image_as_on_this_machine(root):
    frame = next(frame for frame in read_video(DEMO_VIDEO) if frame.sequence == BRIGHT_DAY)
    image = frame.image.resized(frame.image.width, frame.image.height)
    cv2.imwrite(str(root / "car.png"), image)
    assert "KX73LPH" in run(root, "plateid", "read", "/car.png")


def test_plateid_check_passes(root, tmp_path):
    with closing(Broker(tmp_path)) as broker:
        broker.start()
        shutil.copy(DEMO_VIDEO, root / "etc/plateid/demo.mp4")
        (root / "etc/plateid/plateid.toml").write_text(
            'camera = [{name = "gate", url = "demo.mp4"}]\n'
            f'mqtt.port = {broker.port}\nstore.path = "/var/lib/plateid/plateid.sqlite3"\n'
        )
        checks = run(root, "plateid", "check", "-c", "/etc/plateid/plateid.toml").splitlines()
    assert {line.split()[0] for line in checks} <= {"ok", "warn"}


def test_purge_deletes_everything(root):
    run(root, *APT, "purge", "plateid")
    found = run(root, "find", "/", "-xdev", "-path", "*plateid*", "-not", "-name", "plateid.deb")
    assert found == ""
