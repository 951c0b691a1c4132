"""The service sends WATCHDOG=1 only while no thread hangs."""

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
from plateid.service import supervisor
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
    video = write_video(tmp_path / "video.mp4")
    return Config(
        camera=(CameraConfig(name="gate", url=str(video), loop=True),),
        mqtt=broker.config,
        models=ModelsConfig(bundle=bundle, workers=1),
        store=StoreConfig(path=tmp_path / "events.sqlite3"),
    )


@pytest.fixture(autouse=True)
def short_times(monkeypatch):
    monkeypatch.setattr(app, "TICK_S", 0.1)
    monkeypatch.setattr(mqtt, "TICK_S", 0.1)
    monkeypatch.setattr(supervisor, "HANGS_S", 2.0)


@contextmanager
def running(config, manager):
    """Runs the service; gives the messages up to the first WATCHDOG=1."""
    supervisor = Supervisor()
    service = app.App(config, supervisor)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield manager.receive_until(WATCHDOG="1")
    finally:
        supervisor.stop()
        manager.receive_until(STOPPING="1")
        thread.join(20)


def test_service_manager_waits_while_backends_are_measured(config, manager, monkeypatch, tmp_path):
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path))
    monkeypatch.setattr("plateid.bundles.measure.FRAMES", 2)
    models = config.models.model_copy(update={"provider": "openvino"})
    with running(config.model_copy(update={"models": models}), manager) as received:
        assert received[0]["STATUS"] == "measuring backends"
        assert int(received[0]["EXTEND_TIMEOUT_USEC"]) > 30e6  # WatchdogSec= of the unit


def test_first_message_is_ready_and_stop_is_reported(config, manager):
    with running(config, manager) as received:
        assert received[0] == {"READY": "1"}
        manager.receive_until(WATCHDOG="1", STATUS="1 of 1 camera online, ")


def test_camera_outage_does_not_stop_the_watchdog(config, manager):
    dead = CameraConfig(name="dead", url=f"rtsp://127.0.0.1:{free_port()}/live")
    config = config.model_copy(update={"camera": (*config.camera, dead)})
    with running(config, manager):
        manager.receive_until(WATCHDOG="1", STATUS="1 of 2 cameras online (offline: dead), ")
        for _ in range(25):  # longer than HANGS_S
            assert manager.receive()["WATCHDOG"] == "1"


def test_hanging_worker_stops_the_watchdog_until_it_continues(config, manager, monkeypatch, logs):
    released = threading.Event()

    def hang(*_):
        released.wait(60)
        return []

    monkeypatch.setattr(OnnxDetector, "detect", hang)
    with running(config, manager):
        manager.receive_until(STATUS="hangs: worker-0")
        for _ in range(5):
            assert manager.receive() == {"STATUS": "hangs: worker-0"}
        released.set()
        manager.receive_until(WATCHDOG="1")
    assert [e["threads"] for e in logs if e["event"] == "threads hang"] == ["worker-0"]


def test_hanging_publisher_stops_the_watchdog(config, manager):
    """A broker that accepts the connection and never answers blocks the publisher."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        config = config.model_copy(update={"mqtt": MqttConfig(port=port)})
        with running(config, manager):
            assert "WATCHDOG" not in manager.receive_until(STATUS="hangs: mqtt")[-1]
