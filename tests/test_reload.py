"""SIGHUP: what can change does, what cannot is said, and a bad configuration changes nothing."""

import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from plateid.config.load import load_config
from plateid.reload import merged
from tests.capture.conftest import write_clip
from tests.events.broker import free_port, until


@pytest.fixture
def file(tmp_path, bundle):
    write_clip(tmp_path / "clip.mp4")
    path = tmp_path / "plateid.toml"
    path.write_text(
        f"""
camera = [{{name = "gate", url = "clip.mp4", loop = true}}, {{name = "yard", url = "gone.mp4"}}]
models.bundle = "{bundle}"
mqtt.port = {free_port()}
store.path = "events.sqlite3"
[events]
regions = ["ro"]
"""
    )
    return path


def change(file, *changes: tuple[str, str]) -> None:
    text = file.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    file.write_text(text)


@pytest.mark.parametrize(
    ("changes", "waiting"),
    [
        ([], []),
        ([('"ro"', '"de"'), ("gone", "other")], []),
        ([("mqtt.port", "mqtt.port = 1\nmodels.threads = 2#")], ["mqtt", "models"]),
        ([('"yard"', '"roof"')], ["camera"]),
        ([('{name = "yard", url = "gone.mp4"}', "")], ["camera"]),
    ],
)
def test_rules_and_the_values_of_cameras_change_and_the_rest_waits(file, changes, waiting):
    running = load_config(file)
    change(file, *changes)
    wanted = load_config(file)
    config, sections = merged(running, wanted)
    assert sections == waiting
    assert [camera.name for camera in config.camera] == ["gate", "yard"]
    assert config.events == wanted.events
    assert (config.mqtt, config.models) == (running.mqtt, running.models)
    if not waiting:
        assert config == wanted


class Service:
    """`plateid run`, and the lines that it logs."""

    def __init__(self, file) -> None:
        command = [sys.executable, "-m", "plateid", "run", "-c", str(file)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.lines = []
        self._thread = threading.Thread(target=self.lines.extend, args=[self.process.stderr])
        self._thread.start()

    def until(self, *parts: str) -> None:
        """Waits for a line with these parts, and forgets it and all before."""

        def logged() -> bool:
            for index, line in enumerate(self.lines):
                if all(part in line for part in parts):
                    del self.lines[: index + 1]
                    return True
            return False

        until(logged)

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def close(self) -> int:
        self.process.terminate()
        self._thread.join()
        self.process.stderr.close()
        return self.process.wait()


@contextmanager
def running(file):
    service = Service(file)
    try:
        yield service
    finally:
        assert service.close() == 0


def test_a_running_service_takes_over_what_is_good(file):
    with running(file) as service:
        service.until("camera offline", "camera=yard")
        service.until("camera online", "camera=gate")
        change(file, ("gone.mp4", "clip.mp4"), ("mqtt.port", "device = 'other'\nmqtt.port"))
        service.reload()
        service.until("configuration reloaded")
        service.until("change waits for a restart", "sections=device")
        service.until("camera online", "camera=yard")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("loop", "lop", "plateid.toml: camera[0].lop: Extra inputs are not permitted"),
        ('"ro"', '"xx"', "events.regions: unknown region"),
        ("[events]", "[events", "plateid.toml: "),
        ('regions = ["ro"]', 'formats = "gone.toml"', "gone.toml: No such file or directory"),
    ],
)
def test_a_bad_configuration_is_one_error_and_the_old_one_stays(file, before, after, message):
    with running(file) as service:
        service.until("camera online", "camera=gate")
        good = file.read_text()
        change(file, (before, after))
        service.reload()
        service.until("level=error", "configuration refused, the old one stays", message)
        file.write_text(good)
        service.reload()
        service.until("configuration reloaded")
