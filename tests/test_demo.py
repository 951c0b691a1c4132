"""The clip that ships, through the networks that ship."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from plateid.capture.stream import read_clip
from plateid.config.camera import EventsConfig
from plateid.config.models import ModelsConfig
from plateid.core.formats import shipped_formats
from plateid.core.records import ModelNames, PlateEvent, Shot
from plateid.demo import CLIP
from plateid.models.networks import Networks
from plateid.pipeline.camera import CameraPipeline
from plateid.pipeline.traffic import Origin

TRUTH = json.loads(CLIP.with_suffix(".json").read_text())
PLATES = sorted(vehicle["plate"] for vehicle in TRUTH["vehicles"])
SCHEMA = json.loads(Path("plateid/events/schema/plate-event.v1.json").read_text())


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks(ModelsConfig())


class Events(list[PlateEvent]):
    """A sink."""

    def accept(self, event: PlateEvent, _shot: Shot | None) -> None:
        self.append(event)


@pytest.mark.parametrize("rate", [5, 10, 15, 30])
def test_each_vehicle_is_one_pass_at_any_frame_rate(networks, rate):
    events = Events()
    sequence = iter(range(1, 100))
    pipeline = CameraPipeline(
        Origin("box", "street", ModelNames("d", "r", "b"), lambda: next(sequence), lambda: None),
        EventsConfig(),
        formats=shipped_formats(),
        detector=networks.detector(),
        reader=networks.reader(),
        sink=events,
    )
    for frame in read_clip(CLIP):
        if frame.sequence % (TRUTH["fps"] // rate) == 0:
            pipeline.process(frame)
    pipeline.finish()
    left = [event.plate for event in events if event.event_type == "plate_left"]
    seen = [event.pass_id for event in events if event.event_type == "plate_seen"]
    assert sorted(left) == PLATES
    assert sorted(seen) == sorted(e.pass_id for e in events if e.event_type == "plate_left")


def test_the_demo_prints_two_valid_events_a_vehicle_and_ends():
    command = [sys.executable, "-m", "plateid", "demo"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    for event in events:
        Draft202012Validator(SCHEMA).validate(event)
    assert sorted(e["plate"] for e in events if e["event_type"] == "plate_left") == PLATES
    assert len(events) == 2 * len(PLATES)
