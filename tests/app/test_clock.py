"""The system clock is set while a vehicle stands in view of a live camera."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from datetime import datetime

import pytest

from plateid.config.load import load_config
from plateid.store.event_store import EventStore
from tests.support.broker import until
from tests.support.faked_clock import JUMPS, FakedClock
from tests.support.samples import payloads

PAUSE_S = 0.6
"""Time between two jumps, seconds."""
STANDS_S = 6.0
"""Time in which a standing vehicle is published, or continues its pass after a restart, seconds."""


@pytest.fixture
def clock(tmp_path):
    return FakedClock(tmp_path)


@pytest.fixture
def config(tmp_path, bundle, rtsp):
    """A live camera that shows one standing vehicle."""
    file = tmp_path / "plateid.toml"
    file.write_text(
        f'camera = [{{name = "gate", url = "{rtsp.url}"}}]\n'
        f'models.bundle = "{bundle}"\nmqtt.port = 1\nstore.path = "events.sqlite3"\n'
    )
    return file


@contextmanager
def service(config, clock):
    command = [sys.executable, "-m", "plateid", "run", "-c", str(config)]
    environment = os.environ | clock.environment
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True) as process:
        try:
            until(lambda: "camera online" in process.stderr.readline())
            yield process
        finally:
            process.kill()


def stop(process):
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=20)
    assert process.returncode == 0, log


def events(config):
    """Returns the stored events; no output has received them, and none has aged."""
    with closing(EventStore(load_config(config).store.path)) as store:
        assert store.counts().outbox == store.counts().events
        return [json.loads(payload) for payload in reversed(payloads(store))]


def test_clock_jumps_do_not_publish_a_vehicle_twice(config, clock):
    with service(config, clock) as process:
        until(lambda: "plate_seen" in process.stderr.readline())
        began = time.monotonic()
        for jump in (*JUMPS, *JUMPS, "+400d"):
            clock.jump(jump)
            time.sleep(PAUSE_S)
        stop(process)
    stood_s = time.monotonic() - began
    seen, left = events(config)
    assert (seen["event_type"], left["event_type"]) == ("plate_seen", "plate_left")
    assert left["id"] > seen["id"]
    labels = [datetime.fromisoformat(event["last_seen"]) for event in (seen, left)]
    assert (labels[1] - labels[0]).days == 400, "a label is of the clock as it was set"
    assert stood_s - 2 < left["dwell_s"] - seen["dwell_s"] < stood_s + 2


def test_clock_jumps_between_runs_do_not_publish_a_vehicle_twice(config, clock):
    for jump, number in (
        ("+0", signal.SIGTERM),
        ("+400d", signal.SIGKILL),
        ("-20y", signal.SIGTERM),
    ):
        clock.jump(jump)
        with service(config, clock) as process:
            time.sleep(STANDS_S)
            process.send_signal(number)
            process.wait(20)
    assert [event["event_type"] for event in events(config)] == ["plate_seen", "plate_left"]
