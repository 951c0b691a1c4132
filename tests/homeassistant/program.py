"""The program `hass` with a configuration folder, and a user who sets it up over its API."""

import json
import shlex
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from websockets.sync.client import connect

from tests.homeassistant.home_assistant import BLUEPRINTS, PYTHON, STOP_S
from tests.support.broker import free_port, until

START_S = 180.0
"""Maximum time until Home Assistant answers, seconds: a busy machine takes a minute."""
CLIENT = "http://localhost/"
"""Id of the client that logs in."""
USER = {
    "name": "Ana",
    "username": "ana",
    "password": "correct horse",
    "client_id": CLIENT,
    "language": "en",
}


class Program:
    """Home Assistant, which may be started and stopped repeatedly; it opens a gate by a command."""

    def __init__(self, folder: Path, *automations: dict[str, Any]) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._port, self._token = free_port(), ""
        shutil.copytree(BLUEPRINTS, folder / "blueprints/automation/plateid")
        note = f"sh -c 'echo $0 >> {shlex.quote(str(folder / 'opened'))}' {{{{ pass_id }}}}"
        configuration = {
            "homeassistant": {"country": "RO"},
            "http": {"server_host": ["127.0.0.1"], "server_port": self._port},
            "shell_command": {"open_gate": note},
            "automation": automations,
        }
        (folder / "configuration.yaml").write_text(json.dumps(configuration))  # YAML has JSON

    def start(self) -> None:
        """Starts it, and waits until it has loaded everything."""
        command = [PYTHON.with_name("hass"), "--config", self.folder]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._is_running, START_S)

    def set_up(self, broker_port: int) -> None:
        """Makes the first user, and adds the broker, as the pages of Home Assistant do."""
        code = self._send("/api/onboarding/users", USER)["auth_code"]
        form = {"grant_type": "authorization_code", "code": code, "client_id": CLIENT}
        self._token = self._send("/auth/token", urlencode(form).encode())["access_token"]
        flows = "/api/config/config_entries/flow"
        flow = self._send(flows, {"handler": "mqtt"})
        added = self._send(
            f"{flows}/{flow['flow_id']}", {"broker": "127.0.0.1", "port": broker_port}
        )
        assert added["type"] == "create_entry", added

    def stop(self) -> None:
        """Stops it; it stores its states."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            code, self._process = self._process.wait(STOP_S), None
            assert code == 0, self._log.read_text()

    close = stop

    def states(self) -> dict[str, Any]:
        """The states of all entities, by entity id."""
        return {each["entity_id"]: each for each in self._send("/api/states")}

    def ask(self, kind: str, **values: Any) -> Any:
        """The answer to a command of the WebSocket API."""
        with connect(f"ws://127.0.0.1:{self._port}/api/websocket", max_size=None) as client:
            client.recv()
            client.send(json.dumps({"type": "auth", "access_token": self._token}))
            assert json.loads(client.recv())["type"] == "auth_ok"
            client.send(json.dumps({"id": 1, "type": kind, **values}))
            answer = json.loads(client.recv())
        assert answer["success"], answer
        return answer["result"]

    def opened(self) -> list[str]:
        """The passes that opened the gate, in order."""
        file = self.folder / "opened"
        return file.read_text().split() if file.exists() else []

    def complaints(self) -> list[str]:
        """What it has logged: warnings and errors."""
        return self._log.read_text().splitlines()

    def _is_running(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        try:
            if not self._token:
                return bool(self._send("/api/onboarding"))
            return bool(self._send("/api/config")["state"] == "RUNNING")
        except urllib.error.URLError:
            return False

    def _send(self, path: str, data: dict[str, Any] | bytes | None = None) -> Any:
        """The answer of the REST API to a form, JSON or, without data, to GET."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if isinstance(data, dict):
            data, headers["Content-Type"] = json.dumps(data).encode(), "application/json"
        url = f"http://127.0.0.1:{self._port}{path}"
        request = urllib.request.Request(url, data, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
            return json.load(answer)

    @property
    def _log(self) -> Path:
        return self.folder / "log"
