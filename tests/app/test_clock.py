"""The system clock is set while a vehicle stands in view of a live camera."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime

import pytest

from plateid.config.load import load_config
from plateid.store.event_store import EventStore
from tests.support.broker import until
from tests.support.faked_clock import JUMPS, FakedClock
from tests.support.rtsp import RtspServer
from tests.support.samples import payloads


@pytest.fixture
def rtsp():
    server = RtspServer()
    server.start()
    yield server
    server.kill()


def test_clock_jumps_do_not_publish_a_vehicle_twice(tmp_path, bundle, rtsp):
    config, clock = tmp_path / "plateid.toml", FakedClock(tmp_path)
    config.write_text(
        f'camera = [{{name = "gate", url = "{rtsp.url}"}}]\n'
        f'models.bundle = "{bundle}"\nmqtt.port = 1\nstore.path = "events.sqlite3"\n'
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "plateid", "run", "-c", str(config)],
        stderr=subprocess.PIPE,
        env=os.environ | clock.environment,
        text=True,
    )
    try:
        until(lambda: "plate_seen" in process.stderr.readline())
        began = time.monotonic()
        for jump in (*JUMPS, *JUMPS):
            clock.jump(jump)
            time.sleep(0.7)
        clock.jump("+400d")
        time.sleep(1.5)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=20)
    finally:
        process.kill()
    stood_s = time.monotonic() - began
    assert process.returncode == 0, log
    with closing(EventStore(load_config(config).store.path)) as store:
        left, seen = map(json.loads, payloads(store))
        assert store.counts().outbox == 2, "no event has aged"
    assert (seen["event_type"], left["event_type"]) == ("plate_seen", "plate_left")
    assert left["id"] > seen["id"]
    labels = [datetime.fromisoformat(event["last_seen"]) for event in (seen, left)]
    assert (labels[1] - labels[0]).days == 400, "a label is of the clock as it was set"
    assert stood_s - 2 < left["dwell_s"] - seen["dwell_s"] < stood_s + 2
