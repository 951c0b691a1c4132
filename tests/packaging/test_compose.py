"""The compose files run with podman-compose: plateid reads the camera, and its web UI answers."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import copy
from typing import Any

import pytest

from tests.packaging.podman import image_of, namespace
from tests.packaging.test_container import FOLDER, answers
from tests.support.broker import until

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="containers need root: see Makefile"),
    pytest.mark.timeout(900),  # installs packages
]
HERE = Path(__file__).parent
FILES = [FOLDER / "compose.yaml", HERE / "compose.test.yaml"]
FRIGATE = [FOLDER / "compose.frigate.yaml"]
PORT = 8480
START_S = 120.0
EVENT = "mosquitto_sub -W 120 -C 1 -t plateid/+/+/event"


class Compose:
    """Runs podman-compose with the files of the repository."""

    def __init__(self, inside: list[str]) -> None:
        self._inside = inside

    def event(self) -> dict[str, Any]:
        """The next event that the broker gets."""
        text = self(FILES, "exec", "mosquitto", *EVENT.split())
        event: dict[str, Any] = json.loads(text)
        return event

    def __call__(self, files: list[Path], *words: str, **variables: str) -> str:
        names = [f"--file={file}" for file in files]
        settings = {"PLATEID_IMAGE": image_of("amd64")} | variables
        command = [*self._inside, "podman-compose", *names, *words]
        done = subprocess.run(
            command, env=os.environ | settings, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def compose(tmp_path_factory) -> Iterator[Compose]:
    folder = tmp_path_factory.mktemp("servers")
    copy(HERE.parent / "support/looping_rtsp_server.py", folder)
    with namespace() as inside:
        base = "BUILD_FROM=localhost/plateid-base:amd64"
        build = ["buildah", "bud", "--quiet", "--layers", "--isolation=chroot", "--network=host"]
        build += ["--pull=never", f"--build-arg={base}", f"--file={HERE / 'Dockerfile.servers'}"]
        build += ["--ulimit=nofile=20000:20000", "--tag=localhost/plateid-test-servers"]
        subprocess.run([*inside, *build, folder], check=True)
        yield Compose(inside)


@pytest.fixture
def servers(compose) -> Iterator[None]:
    compose(FILES, "up", "--detach", "mosquitto", "camera")
    yield
    compose(FILES, "down", "--volumes", "--timeout=5")


@pytest.mark.usefixtures("servers")
def test_compose_file_starts_plateid_with_broker_and_camera(compose):
    compose(FILES, "up", "--detach")
    until(lambda: answers(PORT), START_S)
    assert compose.event()["camera"] == "test"
    assert "web UI: user plateid, password" in compose(FILES, "logs", "plateid")


@pytest.mark.usefixtures("servers")
def test_compose_file_beside_frigate_reads_its_restream(compose):
    names = {"FRIGATE_NETWORK": "container_default", "CAMERA": "test"}
    compose(FRIGATE, "--project-name=beside", "up", "--detach", **names)
    try:
        until(lambda: answers(PORT), START_S)
        assert compose.event()["camera"] == "gate"
    finally:
        compose(FRIGATE, "--project-name=beside", "down", "--volumes", "--timeout=5", **names)
