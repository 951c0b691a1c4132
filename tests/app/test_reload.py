"""SIGHUP: valid changes are applied; a bad configuration changes nothing."""

import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from plateid.app import App
from plateid.config.load import load_config
from plateid.config.root import merged
from plateid.service.supervisor import Supervisor
from tests.support.broker import free_port, until
from tests.support.videos import write_video


@pytest.fixture
def file(tmp_path, bundle):
    write_video(tmp_path / "video.mp4")
    path = tmp_path / "plateid.toml"
    path.write_text(
        f"""
camera = [{{name = "gate", url = "video.mp4", loop = true}}, {{name = "yard", url = "gone.mp4"}}]
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
def test_events_and_camera_values_change_at_reload_and_the_rest_waits(file, changes, waiting):
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
        """Waits for a line with these parts, and forgets it; threads log in any order."""

        def logged() -> bool:
            for index, line in enumerate(self.lines):
                if all(part in line for part in parts):
                    del self.lines[index]
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


def test_running_service_applies_a_valid_configuration(file):
    with running(file) as service:
        service.until("camera offline", "camera=yard")
        service.until("camera online", "camera=gate")
        change(file, ("gone.mp4", "video.mp4"), ("mqtt.port", "device = 'other'\nmqtt.port"))
        service.reload()
        service.until("configuration reloaded")
        service.until("change needs a restart", "sections=device")
        service.until("camera online", "camera=yard")


@contextmanager
def running_app(file):
    supervisor = Supervisor()
    app = App(load_config(file), supervisor, file=file)
    thread = threading.Thread(target=app.run)
    thread.start()
    try:
        yield app
    finally:
        supervisor.stop()
        thread.join()


def reloaded(app, logs) -> tuple[set[str], set[str]]:
    """The cameras whose passes a reload ended, and those that it opened anew."""
    recognition = app._recognition
    pipelines, cameras = recognition._pipelines, recognition._cameras
    settings = {name: pipeline.settings for name, pipeline in pipelines.items()}
    sources = [camera._config for camera in cameras]
    app._supervisor.reload()
    until(lambda: any(entry["event"] == "configuration reloaded" for entry in logs))
    ended = {name for name, old in settings.items() if pipelines[name].settings is not old}
    pairs = zip(cameras, sources, strict=True)
    return ended, {old.name for camera, old in pairs if camera._config is not old}


@pytest.mark.parametrize(
    ("before", "after", "ended", "opened"),
    [
        ("camera = [", 'camera = [{name = "roof", url = "video.mp4"}, ', set(), set()),
        ("loop", "min_plate_height = 9, loop", {"gate"}, set()),
        ("gone.mp4", "video.mp4", {"yard"}, {"yard"}),
        ('"ro"', '"de"', {"gate", "yard"}, set()),
        ("loop", "events.lost_s = 3.0, loop", {"gate"}, set()),
        ("loop", "events.lost_s = 2.0, loop", set(), set()),
        ("loop = true", "loop = false", {"gate"}, {"gate"}),
    ],
)
def test_change_affects_only_its_cameras(file, logs, *, before, after, ended, opened):
    with running_app(file) as app:
        change(file, (before, after))
        assert reloaded(app, logs) == (ended, opened)


def test_refused_list_does_not_block_other_changes(file, logs):
    plates = file.with_name("plates.csv")
    plates.write_text("plate,list,name\nB68SPK,allow,Ana\n")
    file.write_text(f'lists.file = "plates.csv"\n{file.read_text()}')
    with running_app(file) as app:
        plates.write_text("plate,list,name\nB68SPK,perhaps,Ana\n")
        change(file, ("loop", "min_plate_height = 9, loop"))
        assert reloaded(app, logs) == ({"gate"}, set())
        assert app._status().startswith("lists refused, the previous lists stay in use: ")
        plates.write_text("plate,list,name\nB68SPK,deny,Ana\n")
        until(lambda: "cameras online" in app._status())


@pytest.mark.parametrize(("text", "zoom"), [("", True), ('privacy.unlisted = "drop"\n', False)])
def test_region_is_enlarged_unless_images_hide_other_plates(file, text, zoom):
    change(file, ("loop", "roi = [[0, 0], [0.1, 0], [0, 0.1]], loop"))
    file.write_text(text + file.read_text())
    with running_app(file) as app:
        assert app._recognition._pipelines["gate"].settings.view.zoom == zoom


def test_camera_named_in_a_list_cannot_be_removed(file):
    file.with_name("plates.csv").write_text("plate,list,name,cameras\nB68SPK,allow,Ana,yard\n")
    file.write_text(f'lists.file = "plates.csv"\n{file.read_text()}')
    with running_app(file) as app:
        change(file, ('"yard"', '"shed"'))
        app._reload()
        assert "there is no 'yard'" in app._status()
        change(file, ('"shed"', '"yard"'))
        app._reload()
        assert "cameras online" in app._status()


def test_new_source_of_an_ended_video_waits_for_a_restart(file, logs):
    change(file, ('"gone.mp4"', '"video.mp4"'))
    with running_app(file) as app:
        until(lambda: app._recognition._mailboxes["yard"].closed)
        change(file, ('yard", url = "video.mp4"', 'yard", url = "other.mp4"'))
        reloaded(app, logs)
        until(lambda: any(entry.get("sections") == "camera" for entry in logs))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("loop", "lop", r"unknown key \"camera[0].lop\""),
        ('"ro"', '"xx"', "events.regions: unknown region"),
        ("[events]", "[events", "plateid.toml: "),
        ('regions = ["ro"]', 'formats = "gone.toml"', "gone.toml: No such file or directory"),
    ],
)
def test_bad_configuration_is_one_error_and_the_running_one_stays(file, before, after, message):
    with running(file) as service:
        service.until("camera online", "camera=gate")
        good = file.read_text()
        change(file, (before, after))
        service.reload()
        service.until(
            "level=error", "configuration refused, the previous one stays in use", message
        )
        file.write_text(good)
        service.reload()
        service.until("configuration reloaded")
