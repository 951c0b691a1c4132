"""The engine of Home Assistant as a process with its own Python and configuration folder."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

PYTHON = Path(".venv-homeassistant/bin/python")
"""Home Assistant's own Python, with its packages."""
BLUEPRINTS = Path("examples/home-assistant/blueprints")
STOP_S = 300.0
"""Maximum time until Home Assistant stops, seconds: a busy machine takes minutes."""


def automation(blueprint: str, *, name: str = "", **inputs: Any) -> dict[str, Any]:
    """An automation of one of the blueprints; its name is that of the blueprint by default."""
    name = name or blueprint
    used = {"path": f"plateid/{blueprint}.yaml", "input": inputs}
    return {"id": name, "alias": name, "use_blueprint": used}


class HomeAssistant:
    """A folder whose Home Assistant may be started and stopped repeatedly."""

    def __init__(self, folder: Path, *automations: dict[str, Any]) -> None:
        self.folder = folder
        self._automations = automations
        self._process: subprocess.Popen[str] | None = None
        shutil.copytree(BLUEPRINTS, folder / "blueprints/automation/plateid")
        (folder / "configuration.yaml").touch()

    def start(self) -> None:
        """Starts it; the first answer comes when everything is set up."""
        command = [str(PYTHON), "tests/homeassistant/engine.py", str(self.folder)]
        pipe = subprocess.PIPE
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=log, text=True
            )
        self._write(self._automations)

    def ask(self, method: str, *arguments: Any) -> Any:
        """The answer of a method of `Engine`."""
        self._write([method, *arguments])
        assert self._process is not None
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        assert answer, self._log.read_text()
        return json.loads(answer)

    def stop(self) -> None:
        """Stops it; it stores its states."""
        if self._process is not None:
            _, self._process = self._process.communicate(timeout=STOP_S), None

    close = stop

    def complaints(self) -> list[str]:
        """What it has logged: warnings and errors."""
        return self._log.read_text().splitlines()

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _write(self, request: Any) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
