"""`plateid run` without a configuration: the set-up in the web UI, and the service after it."""

import contextlib
import os
import re
import socket
import subprocess
import time

import pytest

from plateid.config.load import load_config
from tests.app.test_app import PLATEID
from tests.support.broker import until
from tests.support.videos import write_video
from tests.support.web_client import WebClient

pytestmark = pytest.mark.alone  # each takes the first free port from 8480 on
PASSWORD = {"password": "correct horse", "repeated": "correct horse"}


class FirstRun(WebClient):
    """`plateid run` in an empty folder, and its client."""

    def __init__(self, folder, *options, **environment):
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*PLATEID, "run", *options],
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | environment,
            )
        until(lambda: "web UI: " in self.text or self.process.poll() is not None, 60)
        found = re.search(r"web UI: http://(\S+):(\d+)", self.text)
        assert found, self.text
        super().__init__(int(found[2]))
        self.host = found[1]

    @property
    def text(self):
        return self.log.read_text()


@pytest.fixture
def first_run(tmp_path):
    """Starts `plateid run`, and kills it after the test."""
    started = []

    def start(*options, **environment):
        started.append(FirstRun(tmp_path, *options, **environment))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()


def test_first_camera_makes_a_configuration_and_the_service_goes_on_with_it(first_run, tmp_path):
    write_video(tmp_path / "video.mp4", count=45)
    web = first_run()
    assert web.host == "127.0.0.1"
    assert web.request("/")[0] == 303  # to the first steps
    assert web.post("/first-password", "/first-password", **PASSWORD)[0] == 303
    camera = {"name": "gate", "url": "video.mp4", "loop": "true"}
    assert web.post("/setup/camera", do="save", **camera)[0] == 303
    until(lambda: "Camera gate is online" in web.request("/start")[1], 60)  # still logged in
    until(lambda: web.request("/stream/gate.jpg")[0] == 200, 10)
    config = load_config(tmp_path / "plateid.toml")
    assert [each.name for each in config.camera] == ["gate"]
    assert (config.web.enabled, config.web.port) == (True, web.port)
    assert "# " in (tmp_path / "plateid.toml").read_text()
    assert web.post("/setup/camera", old="gate", do="remove")[0] == 303
    until(lambda: web.text.count("event=started") == 2, 60)
    until(lambda: "Camera gate" not in web.request("/start")[1], 10)
    time.sleep(1)
    assert web.process.poll() is None
    web.process.terminate()
    assert web.process.wait(10) == 0


def test_next_port_is_used_and_the_taken_one_named(first_run):
    with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", 8480)):
        web = first_run()
    assert web.port > 8480
    assert "127.0.0.1:8480" in web.text
    assert "Address already in use" in web.text
    assert web.request("/start")[0] == 200


def test_other_address_demands_the_set_up_code(first_run):
    web = first_run("--setup-host", "0.0.0.0")  # noqa: S104 - what is tested
    assert web.host == f"{socket.gethostname().split('.')[0]}.local"
    code = re.search(r"set-up code: (\w+)", web.text)[1]
    assert web.request("/start")[0] == 303
    assert "Set-up code" in web.request("/login")[1]
    assert web.request("/first-password", PASSWORD | {"code": "WRONG"})[0] == 403
    assert web.request("/first-password", {"code": code} | PASSWORD | {"repeated": "x"})[0] == 400
    assert web.request("/start")[0] == 303
    assert web.request("/first-password", PASSWORD | {"code": code.lower()})[0] == 303
    assert web.request("/start")[0] == 200
    web.cookie = ""
    assert web.request("/first-password", PASSWORD | {"code": code})[0] == 403  # used once


def test_service_without_its_file_in_etc_is_set_up_in_its_state_folder(first_run, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    missing = str(tmp_path / "etc/plateid.toml")
    web = first_run("--config", missing, STATE_DIRECTORY=str(state))
    assert web.post("/setup/regions", **{"region-ro": "on"})[0] == 303
    assert load_config(state / "plateid.toml").events.regions == ("ro",)
    until(lambda: "event=started" in web.text, 60)
