"""The add-on: its files, what it asks of the Supervisor, and plateid behind its ingress."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
from contextlib import closing
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import cv2
import pytest
import yaml

from plateid import __version__
from plateid.config.load import load_config
from plateid.demo import DEMO_VIDEO
from tests.support.broker import Broker, Subscriber, free_port, until
from tests.support.ingress_proxy import ADDRESS, PREFIX, IngressProxy
from tests.web.browser import find, images_loaded, texts, wait
from tests.web.conftest import browser, chrome  # noqa: F401 - fixtures

FOLDER = Path(__file__).parents[2] / "firmware/home-assistant"
ADDON = FOLDER / "plateid"
CONFIG = yaml.safe_load((ADDON / "config.yaml").read_text())
TOKEN = "of the Supervisor"  # noqa: S105 - of a test
START_S = 60.0
_spec = importlib.util.spec_from_file_location("start", ADDON / "start.py")
assert _spec
assert _spec.loader
start = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(start)


class Supervisor:
    """Answers GET /services/mqtt as the documentation of the Supervisor's API says."""

    def __init__(self, status: int, answer: dict[str, Any], port: int = 0) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                is_allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
                found = self.path == "/services/mqtt"
                self.send_response(status if is_allowed and found else 401)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *_: object) -> None:
                """Logs nothing."""

        self._server = HTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def service(port: int = 1883) -> dict[str, Any]:
    """What the Supervisor says of the add-on Mosquitto."""
    return {
        "addon": "core_mosquitto",
        "host": "127.0.0.1",
        "port": port,
        "ssl": False,
        "username": "addons",
        "password": "secret",
        "protocol": "3.1.1",
    }


def configured(folder: Path, options: dict[str, Any], found: dict[str, Any], monkeypatch) -> Any:
    """Returns the configuration of plateid with the variables of the add-on."""
    (folder / "plateid.toml").touch()
    for name, value in start.variables(options, found).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PLATEID_WEB_ENABLED", "true")
    return load_config(folder / "plateid.toml")


def test_broker_of_the_supervisor_is_used(tmp_path, monkeypatch):
    answer = {"result": "ok", "data": service()}
    with closing(Supervisor(200, answer)) as supervisor:
        found = start.mqtt_service(supervisor.address, TOKEN)
    mqtt = configured(tmp_path, CONFIG["options"], found, monkeypatch).mqtt
    assert (mqtt.host, mqtt.port, mqtt.tls, mqtt.username) == ("127.0.0.1", 1883, False, "addons")
    assert mqtt.password_file.name == start.PASSWORD
    assert start.password(CONFIG["options"], found) == "secret"


@pytest.mark.parametrize("reason", ["400 Service not enabled", "403 Forbidden", "401 Unauthorized"])
def test_missing_or_refused_broker_is_one_line_of_log_and_web_ui(
    tmp_path, monkeypatch, capsys, reason
):
    status, _, message = reason.partition(" ")
    answer = {"result": "error", "message": message}
    with closing(Supervisor(int(status), answer)) as supervisor:
        found = start.mqtt_service(supervisor.address, TOKEN)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"no MQTT broker from the Supervisor: {status} ")
    assert message in line
    assert configured(tmp_path, CONFIG["options"], found, monkeypatch).web.notice == line


def test_add_on_without_a_broker_has_a_valid_configuration(tmp_path, monkeypatch):
    assert configured(tmp_path, CONFIG["options"], {}, monkeypatch).mqtt.username is None


def test_supervisor_that_does_not_answer_is_one_line(capsys):
    assert start.mqtt_service(f"http://127.0.0.1:{free_port()}", TOKEN).keys() == {"problem"}
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_options_become_configuration(tmp_path, monkeypatch):
    options = {
        "device": "1234",
        "cameras": [{"name": "front_gate", "url": "rtsp://user:p#a'\"s\\s@camera/1"}],
        "regions": ["ro", "us-ca"],
        "mqtt_host": "broker.local",
        "mqtt_port": 8883,
        "mqtt_username": "plateid",
        "mqtt_password": "own",
    }
    config = configured(tmp_path, options, service(), monkeypatch)
    assert (config.device, config.events.regions) == ("1234", ("ro", "us-ca"))
    assert [(each.name, each.url) for each in config.camera] == [
        ("front_gate", options["cameras"][0]["url"])
    ]
    assert (config.mqtt.host, config.mqtt.port) == ("broker.local", 8883)
    assert start.password(options, service()) == "own"
    assert str(config.web.ingress) == "172.30.32.2"


def test_version_and_translations_match():
    assert CONFIG["version"] == __version__
    assert f":{__version__}\n" in (ADDON / "Dockerfile").read_text()
    texts_ = yaml.safe_load((ADDON / "translations/en.yaml").read_text())["configuration"]
    assert texts_.keys() == CONFIG["schema"].keys()
    assert all(each.keys() == {"name", "description"} for each in texts_.values())
    assert CONFIG["options"].keys() <= CONFIG["schema"].keys()


def test_files_are_those_of_a_repository_of_add_ons():
    assert yaml.safe_load((FOLDER / "repository.yaml").read_text()).keys() >= {"name", "url"}
    assert {mapped["type"] for mapped in CONFIG["map"]} == {"app_config", "share", "media"}
    assert not (ADDON / "build.yaml").exists()
    assert re.search(r"^ARG BUILD_FROM=\S+$", (ADDON / "Dockerfile").read_text(), re.MULTILINE)
    assert cv2.imread(str(ADDON / "icon.png")).shape == (128, 128, 3)
    assert cv2.imread(str(ADDON / "logo.png")).shape == (100, 250, 3)


def test_apparmor_profile_is_valid():
    command = ["apparmor_parser", "--skip-kernel-load", "--skip-cache", ADDON / "apparmor.txt"]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.parametrize(
    "file", ["/usr/local/bin/start.py", "/usr/local/bin/entrypoint", "/usr/bin/python3.13"]
)
def test_apparmor_profile_lets_programs_be_read_and_run(file):
    """A script needs both: the kernel runs its interpreter, which reads it."""
    rules = re.findall(r"^  (/\S+) (\w+),$", (ADDON / "apparmor.txt").read_text(), re.MULTILINE)
    granted = {
        permission
        for pattern, permissions in rules
        if fnmatch(file, pattern.replace("{,usr/}", "usr/"))
        for permission in permissions
    }
    assert granted >= set("mrix")


def test_folder_with_dangling_symlink_is_given_to_the_user(tmp_path, monkeypatch):
    """A symlink may also point to /share, which is read-only, or out of the folder."""
    (tmp_path / "current").symlink_to("/nowhere")
    monkeypatch.setattr(start, "USER", -1)  # changes nothing, as only root may
    start.give(tmp_path)


def test_plateid_runs_behind_ingress_with_the_broker_of_the_supervisor(
    tmp_path,
    browser,  # noqa: F811 - the fixture
):
    with closing(Broker(tmp_path)) as broker:
        broker.set_passwords(addons="secret")
        broker.start()
        with closing(Supervisor(200, {"result": "ok", "data": service(broker.port)})) as supervisor:
            found = start.mqtt_service(supervisor.address, TOKEN)
        options = {"cameras": [{"name": "gate", "url": str(DEMO_VIDEO)}]}
        port = free_port()
        own = {
            "PLATEID_WEB_ENABLED": "true",
            "PLATEID_WEB_HOST": "0.0.0.0",  # noqa: S104 - as in the image
            "PLATEID_WEB_PORT": str(port),
            "PLATEID_WEB_INGRESS": ADDRESS,
        }
        (tmp_path / "plateid.toml").touch()
        (tmp_path / start.PASSWORD).write_text(start.password(options, found))
        command = [sys.executable, "-m", "plateid", "run", "-c", tmp_path / "plateid.toml"]
        environment = os.environ | start.variables(options, found) | own
        with (
            closing(Subscriber(broker.port)) as subscriber,
            closing(IngressProxy(port)) as proxy,
            (tmp_path / "log").open("w") as log,
            subprocess.Popen(command, env=environment, stderr=log) as process,
        ):
            try:
                until(lambda: "web UI started" in (tmp_path / "log").read_text(), START_S)
                browser.get(f"{proxy.origin}{PREFIX}/")
                wait(browser, lambda: images_loaded(browser), START_S)
                until(subscriber.events, START_S)
                wait(browser, lambda: texts(browser, ".passes .plate, .plate"), START_S)
                assert find(browser, '[data-fact="broker"]').text == "Up to date"
                browser.get("about:blank")
            finally:
                process.terminate()
        assert process.returncode == 0
