"""The demo video with the shipped networks."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from plateid.capture.images import ArrayImage
from plateid.capture.video_file import read_video
from plateid.config.models import ModelsConfig
from plateid.core.records import ModelNames, PlateEvent
from plateid.core.view import View
from plateid.demo import DEMO_VIDEO
from plateid.models.networks import Networks
from plateid.pipeline.camera_pipeline import CameraPipeline
from plateid.pipeline.event_builder import EventBuilder, PipelineSettings

TRUTH = json.loads(DEMO_VIDEO.with_suffix(".json").read_text())
PLATES = sorted(vehicle["plate"] for vehicle in TRUTH["vehicles"])
SCHEMA = json.loads(Path("plateid/core/schema/plate-event.v1.json").read_text())


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks(ModelsConfig())


class Events(list[PlateEvent]):
    """Collects events."""

    def left(self) -> list[str]:
        return sorted(event.plate for event in self if event.event_type == "plate_left")


def street(networks: Networks, events: Events, view: View | None = None) -> CameraPipeline:
    names, sequence = ModelNames("d", "r", "b"), iter(range(1, 100))
    return CameraPipeline(
        PipelineSettings("street", view=view or View()),
        EventBuilder("box", names, lambda: next(sequence)),
        detect=networks.detector().detect,
        read=networks.reader().read,
        sink=events.append,
    )


@pytest.mark.parametrize("rate", [5, 10, 15, 30])
def test_each_vehicle_is_one_pass_at_any_frame_rate(networks, rate):
    events = Events()
    pipeline = street(networks, events)
    for frame in read_video(DEMO_VIDEO):
        if frame.sequence % (TRUTH["fps"] // rate) == 0:
            pipeline.process(frame)
    pipeline.finish()
    seen = [event.pass_id for event in events if event.event_type == "plate_seen"]
    assert events.left() == PLATES
    assert sorted(seen) == sorted(e.pass_id for e in events if e.event_type == "plate_left")


def test_zoom_into_a_region_detects_small_vehicles_of_a_4k_camera_earlier(networks):
    image = np.full((2160, 3840, 3), 90, np.uint8)
    drive = image[1200:1920, 2000:3280]
    left, top, right, bottom = 2000 / 3840, 1200 / 2160, 3280 / 3840, 1920 / 2160
    roi = ((left, top), (right, top), (right, bottom), (left, bottom))
    whole, zoomed = Events(), Events()
    pipelines = [
        street(networks, events, View(roi=roi, zoom=events is zoomed)) for events in (whole, zoomed)
    ]
    for frame in read_video(DEMO_VIDEO):
        if frame.sequence % (TRUTH["fps"] // 5) == 0:
            drive[:] = frame.image.resized(1280, 720)
            for pipeline in pipelines:
                pipeline.process(replace(frame, image=ArrayImage(image.copy())))
    for pipeline in pipelines:
        pipeline.finish()
    assert zoomed.left() == PLATES
    first, before = ({e.plate: e.first_seen for e in events} for events in (zoomed, whole))
    assert (
        sum(
            (before[plate] - first[plate]).total_seconds() for plate in before.keys() & first.keys()
        )
        > 1
    )


def test_demo_prints_two_valid_events_a_vehicle_and_ends():
    command = [sys.executable, "-m", "plateid", "demo"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    for event in events:
        Draft202012Validator(SCHEMA).validate(event)
    assert sorted(e["plate"] for e in events if e["event_type"] == "plate_left") == PLATES
    assert len(events) == 2 * len(PLATES)


def test_demo_in_a_terminal_shows_vehicles_and_stays_until_interrupted():
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "plateid", "demo"]
    with suppress(OSError), socket.create_server(("127.0.0.1", 8480)):
        process = subprocess.Popen(command, stdin=end, stdout=end, stderr=end)
        os.close(end)
        with closing(os.fdopen(terminal, "rb", buffering=0)) as screen:
            shown = read_until(screen, "allow: Ana")
            assert "127.0.0.1:8480" in shown  # the port that is taken
            assert "Address already in use" in shown
            address = shown.rpartition("Web UI: ")[2]
            assert "http://127.0.0.1:84" in address
            assert "http://127.0.0.1:8480" not in address
            assert "KX 73 LPH" in shown
            read_until(screen, " out ")  # when it has crossed the line
            process.send_signal(signal.SIGINT)
            assert "plateid read car.jpg" in read_until(screen, "plateid run")
        assert process.wait(10) == 0


def read_until(screen, text):
    """The output of a terminal up to a text; fails at its end."""
    shown = ""
    while text not in shown:
        with suppress(OSError):  # the other end is closed
            part = screen.read(65536)
        assert part, shown
        shown += part.decode(errors="replace")
    return shown
