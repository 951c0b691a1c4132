"""`plateid run` as a process, with a real broker."""

import contextlib
import json
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plateid.config.load import load_config
from plateid.demo import DEMO_VIDEO
from plateid.errors import ModelError
from plateid.pipeline.stationary import STATIONARY_S
from plateid.store.event_store import EventStore
from tests.service.test_metrics import scraped
from tests.support.broken_disk import damaged
from tests.support.broker import Broker, Subscriber, free_port, free_ports, until
from tests.support.samples import outbox_of
from tests.support.videos import write_video

PLATEID = [sys.executable, "-m", "plateid"]


@pytest.fixture
def broker(tmp_path):
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.close()


@pytest.fixture
def config(tmp_path, bundle) -> Path:
    write_video(tmp_path / "video.mp4", count=45)
    file = tmp_path / "plateid.toml"
    file.write_text(
        f"""
device = "box"
camera = [{{name = "gate", url = "video.mp4"}}]
models.bundle = "{bundle}"
mqtt.port = {free_port()}
store.path = "events.sqlite3"
"""
    )
    return file


def with_port(config: Path, port: int) -> Path:
    config.write_text(re.sub(r"mqtt\.port = \d+", f"mqtt.port = {port}", config.read_text()))
    return config


STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def no_process_left():
    """Kills what a failed test has left running."""
    yield
    while STARTED:
        STARTED.pop().kill()


def run(config: Path) -> subprocess.Popen[str]:
    command = [*PLATEID, "run", "-c", str(config)]
    STARTED.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
    return STARTED[-1]


def finished(process: subprocess.Popen[str], timeout_s: float = 30) -> tuple[int, str]:
    _, errors = process.communicate(timeout=timeout_s)
    return process.returncode, errors


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal, by /proc/PID/status."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = int(status.split("SigCgt:")[1].split()[0], 16)
    return bool(mask >> (number - 1) & 1)


def published(subscriber: Subscriber) -> list[tuple[str, str]]:
    events = [m for m in subscriber.messages if m.topic == "plateid/box/gate/event"]
    return [(e["event_type"], e["plate"]) for e in map(json.loads, (m.payload for m in events))]


def test_end_of_a_video_is_published_and_ends_the_service(config, broker):
    subscriber = Subscriber(broker.port)
    code, errors = finished(run(with_port(config, broker.port)))
    assert code == 0, errors
    until(lambda: len(published(subscriber)) == 2)
    subscriber.close()
    assert published(subscriber) == [("plate_seen", "AB12"), ("plate_left", "AB12")]
    with contextlib.closing(EventStore(load_config(config).store.path)) as store:
        assert store.counts().outbox == 0


def test_events_are_published_after_a_start_without_broker(config, broker):
    assert finished(run(config))[0] == 0
    store = EventStore(load_config(config).store.path)
    assert (store.counts().events, store.counts().outbox) == (2, 2)
    store.close()
    subscriber = Subscriber(broker.port)
    assert finished(run(with_port(config, broker.port)))[0] == 0
    until(lambda: len(published(subscriber)) == 4)
    subscriber.close()


@pytest.mark.parametrize(
    ("number", "expected"),
    [(signal.SIGKILL, ["plate_seen"]), (signal.SIGTERM, ["plate_seen", "plate_left"])],
)
def test_stationary_vehicle_is_not_published_again_after_a_restart(config, number, expected):
    config.write_text(config.read_text().replace('"video.mp4"', '"video.mp4", loop = true'))
    for _ in range(2):
        process = run(config)
        until(lambda process=process: "camera online" in process.stderr.readline())
        time.sleep(STATIONARY_S + 2)
        process.send_signal(number)
        finished(process)
    with contextlib.closing(EventStore(load_config(config).store.path)) as store:
        assert [each.event.event_type for each in outbox_of(store).pending(9)] == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_service_within_two_seconds_without_loss(config, broker, number):
    config.write_text(config.read_text().replace('"video.mp4"', '"video.mp4", loop = true'))
    subscriber = Subscriber(broker.port)
    process = run(with_port(config, broker.port))
    until(lambda: published(subscriber))
    started = time.monotonic()
    process.send_signal(number)
    code, errors = finished(process)
    assert time.monotonic() - started < 2
    assert code == 0, errors
    until(lambda: len(published(subscriber)) == 2)
    assert published(subscriber)[-1] == ("plate_left", "AB12")
    until(lambda: subscriber.messages[-1].payload == b"offline")
    subscriber.close()


def test_signal_during_the_start_ends_the_service(config):
    process = run(config)
    until(lambda: catches(process.pid, signal.SIGTERM))
    process.terminate()
    code, errors = finished(process)
    assert code == 0, errors


def test_second_process_on_one_store_is_refused(config):
    config.write_text(config.read_text().replace('"video.mp4"', '"video.mp4", loop = true'))
    first = run(config)
    until(lambda: "camera online" in first.stderr.readline())
    code, errors = finished(run(config))
    assert code == 1
    assert "events.sqlite3: another plateid uses it" in errors
    first.terminate()
    assert finished(first)[0] == 0


def test_dead_camera_does_not_affect_another(config, broker):
    dead = f'{{name = "dead", url = "rtsp://127.0.0.1:{free_port()}/x"}}'
    config.write_text(config.read_text().replace("camera = [", f"camera = [{dead}, "))
    subscriber = Subscriber(broker.port)
    process = run(with_port(config, broker.port))
    until(lambda: len(published(subscriber)) == 2)
    process.terminate()
    assert finished(process)[0] == 0
    subscriber.close()


def test_events_that_are_neither_stored_nor_sent_are_an_error_at_the_end(config):
    store_path = load_config(config).store.path
    EventStore(store_path).close()
    with contextlib.closing(sqlite3.connect(store_path)) as other:
        process = run(config)
        until(lambda: "camera online" in process.stderr.readline())
        other.execute("BEGIN IMMEDIATE")
        code, errors = finished(process)
    assert code == 1
    assert f"{store_path}: could not store or send 2 events" in errors


def test_full_disk_is_reported_and_events_are_published(config, broker):
    config.write_text(config.read_text().replace('"video.mp4"', '"video.mp4", loop = true'))
    subscriber = Subscriber(broker.port)
    process = run(with_port(config, broker.port))
    until(lambda: "started" in process.stderr.readline())
    limits = resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    until(lambda: "outage starts" in (line := process.stderr.readline()) and "I/O error" in line)
    until(lambda: published(subscriber) == [("plate_seen", "AB12")])
    until(lambda: any(health["unstored"] for health in subscriber.events("box/health")), 45)
    assert subscriber.texts("box/disk") == ["ok", "failed"]
    assert subscriber.texts("gate/status")[-1] == "online"
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limits)
    until(lambda: subscriber.texts("box/disk") == ["ok", "failed", "ok"])
    process.terminate()
    code, errors = finished(process)
    assert code == 0, errors
    assert "outage ends" in errors
    until(lambda: published(subscriber)[1:] == [("plate_left", "AB12")])
    subscriber.close()


@pytest.mark.parametrize("what", ["header", "delivery"])
def test_corrupt_database_is_set_aside_and_the_service_starts(config, broker, what):
    store_path = load_config(config).store.path
    damaged(store_path, what)
    subscriber = Subscriber(broker.port)
    code, errors = finished(run(with_port(config, broker.port)))
    assert code == 0, errors
    assert f"set_aside={store_path}.corrupt-" in errors
    until(lambda: len(published(subscriber)) == 52)
    subscriber.close()
    with contextlib.closing(EventStore(store_path)) as store:
        assert (store.counts().events, store.counts().outbox) == (52, 0)


def test_signal_during_an_outage_ends_the_service_within_two_seconds(config):
    config.write_text(config.read_text().replace("video.mp4", f"rtsp://127.0.0.1:{free_port()}/x"))
    process = run(config)
    until(lambda: "camera offline" in process.stderr.readline())
    started = time.monotonic()
    process.terminate()
    assert finished(process)[0] == 0
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (('url = "video.mp4"', 'url = "video.mp4", sorce = 1'), 2, 'unknown key "camera[0].sorce"'),
        (
            ("store.path", 'events.regions = ["xx"]\nstore.path'),
            2,
            "events.regions: unknown region",
        ),
        (('"events.sqlite3"', '"plateid.toml"'), 2, "plateid.toml is not a plateid store"),
        (('"events.sqlite3"', '"/proc/events.sqlite3"'), 1, "/proc/events.sqlite3: "),
        (("models.bundle", 'models.provider = "cuda"\nmodels.bundle'), 1, "CUDAExecutionProvider"),
    ],
)
def test_fatal_error_at_the_start_is_one_line_and_an_exit_code(config, change, code, message):
    text = config.read_text()
    assert change[0] in text
    config.write_text(text.replace(*change))
    got, errors = finished(run(config))
    assert got == code
    assert message in errors
    assert "Traceback" not in errors


def test_check_prints_one_line_each_and_fails_if_one_fails(config, broker):
    def check() -> subprocess.CompletedProcess[str]:
        command = [*PLATEID, "check", "-c", str(config)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = check()
    assert done.returncode == 1
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert len(failed) == 1
    assert "broker" in failed[0]
    with_port(config, broker.port)
    log_file = f'[logfile]\ncsv = "{config.parent}/events.csv"\n'
    metrics = f"[metrics]\nenabled = true\nport = {free_port()}\n"
    config.write_text(config.read_text() + log_file + metrics)
    done = check()
    assert done.returncode == 0, done.stdout
    assert [line.split()[1] for line in done.stdout.splitlines()] == [
        *("config", "regions", "bundle", "camera", "broker", "disk", "logfile", "metrics", "clock")
    ]
    assert not (config.parent / "events.csv").exists()


def test_check_of_an_inaccessible_store_fails_and_the_others_run(config):
    text = config.read_text().replace("events.sqlite3", f"{'a' * 300}/events.sqlite3")
    config.write_text(text)
    command = [*PLATEID, "check", "-c", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "File name too long" in next(x for x in done.stdout.splitlines() if "disk" in x)
    assert "clock" in done.stdout, "all other checks are made"
    assert done.stderr == ""


def test_failing_network_ends_the_process_with_its_reason(config, monkeypatch):
    from plateid.app import App
    from plateid.models.onnx_detector import OnnxDetector
    from plateid.service.supervisor import Supervisor

    def fail(*_: object) -> None:
        raise ModelError("detector.onnx", "inference failed: out of memory")

    monkeypatch.setattr(OnnxDetector, "detect", fail)
    with pytest.raises(ModelError, match="out of memory"):
        App(load_config(config), Supervisor()).run()


def test_overloaded_device_skips_frames_of_settled_passes(tmp_path):
    port, broker = free_ports(2)
    cameras = "".join(
        f'[[camera]]\nname = "c{n}"\nurl = "{DEMO_VIDEO}"\nloop = true\n' for n in range(4)
    )
    config = tmp_path / "plateid.toml"
    config.write_text(
        f'store.path = "events.sqlite3"\nmodels = {{workers = 1, threads = 1}}\n'
        f"metrics = {{enabled = true, port = {port}}}\nmqtt.port = {broker}\n{cameras}"
    )
    process = run(config)
    try:
        until(lambda: "metrics server started" in process.stderr.readline())
        until(
            lambda: max(scraped(port)["plateid_frames_skipped_total"].values()) > 10, timeout_s=60
        )
        metrics = scraped(port)
        looks, frames = metrics["plateid_detector_seconds_count"], metrics["plateid_frames_total"]
    finally:
        process.terminate()
    assert finished(process)[0] == 0
    assert all(0 < looks[camera] < frames[camera] for camera in frames)
