"""The watchdog hears WATCHDOG=1 while all threads move, and only then."""

import socket
import threading
from contextlib import closing, contextmanager

import pytest

from plateid import app
from plateid.config.cameras import CameraConfig
from plateid.config.models import ModelsConfig
from plateid.config.outputs import MqttConfig
from plateid.config.root import Config
from plateid.config.storage import StoreConfig
from plateid.models.onnx_detector import OnnxDetector
from plateid.outputs import mqtt
from plateid.service import watchdog
from plateid.service.supervisor import Supervisor
from tests.support.broker import Broker, free_port
from tests.support.videos import write_video


@pytest.fixture
def broker(tmp_path):
    with closing(Broker(tmp_path)) as made:
        made.start()
        yield made


@pytest.fixture
def config(tmp_path, bundle, broker):
    clip = write_video(tmp_path / "clip.mp4")
    return Config(
        camera=(CameraConfig(name="gate", url=str(clip), loop=True),),
        mqtt=broker.config,
        models=ModelsConfig(bundle=bundle, workers=1),
        store=StoreConfig(path=tmp_path / "events.sqlite3"),
    )


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(app, "TICK_S", 0.1)
    monkeypatch.setattr(mqtt, "TICK_S", 0.1)
    monkeypatch.setattr(watchdog, "HANGS_S", 2.0)


@contextmanager
def running(config, manager):
    """Gives the messages up to the first sign of life."""
    supervisor = Supervisor()
    service = app.App(config, supervisor)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield manager.until(WATCHDOG="1")
    finally:
        supervisor.stop()
        manager.until(STOPPING="1")
        thread.join(20)


def test_ready_comes_first_and_the_end_is_told(config, manager):
    with running(config, manager) as heard:
        assert heard[0] == {"READY": "1"}
        manager.until(WATCHDOG="1", STATUS="1 of 1 cameras online, ")


def test_a_camera_whose_outage_is_known_is_no_reason_to_restart(config, manager):
    dead = CameraConfig(name="dead", url=f"rtsp://127.0.0.1:{free_port()}/live")
    config = config.model_copy(update={"camera": (*config.camera, dead)})
    with running(config, manager):
        manager.until(WATCHDOG="1", STATUS="1 of 2 cameras online (offline: dead), ")
        for _ in range(25):  # longer than a thread may hang
            assert manager.hear()["WATCHDOG"] == "1"


def test_a_worker_that_hangs_silences_it_until_it_moves_again(config, manager, monkeypatch, logs):
    released = threading.Event()

    def hang(*_):
        released.wait(60)
        return []

    monkeypatch.setattr(OnnxDetector, "detect", hang)
    with running(config, manager):
        manager.until(STATUS="hangs: worker-0")
        for _ in range(5):
            assert manager.hear() == {"STATUS": "hangs: worker-0"}
        released.set()
        manager.until(WATCHDOG="1")
    assert [e["threads"] for e in logs if e["event"] == "threads hang"] == ["worker-0"]


def test_a_publisher_that_hangs_silences_it(config, manager):
    """A broker that accepts and says nothing holds it for longer than is allowed here."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        config = config.model_copy(update={"mqtt": MqttConfig(port=port)})
        with running(config, manager):
            assert "WATCHDOG" not in manager.until(STATUS="hangs: mqtt")[-1]
