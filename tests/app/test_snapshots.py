"""`plateid run` with the shipped networks: from a video to the snapshots of its events."""

import csv
import hashlib
import io
import json
import resource
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from plateid.capture.images import ArrayImage
from plateid.config.models import ModelsConfig
from plateid.core.geometry import same_place
from plateid.core.reading import read_detections
from plateid.core.records import Box
from plateid.core.text import best_text, edit_distance
from plateid.demo import DEMO_VIDEO
from plateid.models.networks import Networks
from plateid.store.self_labels import self_label_files
from tests.app.test_app import finished, run
from tests.core.test_schema import VALIDATOR
from tests.support.broker import Subscriber, until

UNTIL_S = 5.8
PLATES = ["KX73LPH", "MM93LXN"]


@pytest.fixture
def config(tmp_path, started_broker):
    with av.open(str(DEMO_VIDEO)) as source, av.open(str(tmp_path / "video.mp4"), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None and packet.pts * packet.time_base < UNTIL_S:
                packet.stream = copy
                target.mux(packet)
    file = tmp_path / "plateid.toml"
    file.write_text(
        f"""
device = "box"
mqtt.port = {started_broker.port}
store.path = "box/events.sqlite3"
[[camera]]
name = "street"
url = "video.mp4"
"""
    )
    return file


def folder(config: Path) -> Path:
    return config.parent / "box" / "events-snapshots"


def plates_in(jpeg: bytes) -> dict[str, Box]:
    networks = Networks(ModelsConfig())
    image = ArrayImage(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))
    found = networks.detector().detect(image)
    plates = read_detections(image, found, networks.reader().read)
    return {plate.text: plate.box for plate in plates}


def test_snapshots_show_their_plates_and_are_published_before_their_events(config, started_broker):
    with closing(Subscriber(started_broker.port)) as subscriber:
        code, errors = finished(run(config), timeout_s=60)
        assert code == 0, errors
        messages = [*subscriber.messages]
    images: set[str] = set()
    events = []
    for message in messages:
        if message.topic == "plateid/box/street/snapshot":
            images.add(hashlib.sha256(message.payload).hexdigest())
        elif message.topic == "plateid/box/street/event":
            events.append(json.loads(message.payload))
            assert events[-1]["snapshot"]["sha256"] in images
    assert left(events) == PLATES
    read: set[str] = set()
    for event in events:
        VALIDATOR.validate(event)
        jpeg = (folder(config) / event["snapshot"]["file"]).read_bytes()
        assert hashlib.sha256(jpeg).hexdigest() == event["snapshot"]["sha256"]
        found = plates_in(jpeg)
        assert any(same_place(box, event["box"]) for box in found.values())
        read |= found.keys() & {event["plate"]}
    assert sorted(read) == PLATES  # a single frame may be read wrong
    with closing(Subscriber(started_broker.port, "plateid/box/street/snapshot")) as late:
        until(lambda: len(late.messages) == 1)
        assert late.messages[0].retain
        assert plates_in(late.messages[0].payload)


def test_home_assistant_gets_an_image_entity_if_snapshots_are_enabled(config, started_broker):
    def platforms() -> set[str]:
        with closing(Subscriber(started_broker.port, "homeassistant/#")) as subscriber:
            code, errors = finished(run(config), timeout_s=60)
            assert code == 0, errors
            parts = subscriber.events("/config")[-1]["cmps"]
        return {part["p"] for part in parts.values() if "image_topic" in part}

    assert platforms() == {"image"}
    config.write_text("snapshots.enabled = false\n" + config.read_text())
    assert platforms() == set()


def test_plates_that_are_not_kept_are_in_no_snapshot(config, started_broker):
    config.write_text('privacy.unlisted = "drop"\n' + config.read_text())
    with closing(Subscriber(started_broker.port, "plateid/box/street/snapshot")) as subscriber:
        code, errors = finished(run(config), timeout_s=60)
        assert code == 0, errors
        sent = [message.payload for message in subscriber.messages]
    kept = [file.read_bytes() for file in folder(config).rglob("*.jpg")]
    assert len(sent) >= 2
    assert len(kept) == len(sent)
    for jpeg in sent + kept:
        assert not plates_in(jpeg).keys() & set(PLATES)


def test_self_labels_of_small_crops_are_right(config):
    config.write_text("privacy.self_labels = true\n" + config.read_text())
    code, errors = finished(run(config), timeout_s=60)
    assert code == 0, errors
    *crops, (_, table) = self_label_files(config.parent / "box" / "events.sqlite3")
    rows = [*csv.DictReader(io.StringIO(table.decode()))]
    assert {row["text"] for row in rows} == set(PLATES)
    for (_, jpeg), row in zip(crops, rows, strict=True):
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        box = tuple(float(row[corner]) for corner in ("x1", "y1", "x2", "y2"))
        (read,) = Networks(ModelsConfig()).reader().read(ArrayImage(image), [box])
        assert edit_distance(best_text(read.probabilities), row["text"]) <= 3


def test_unwritable_folder_loses_snapshots_and_is_logged_once(config, started_broker):
    folder(config).parent.mkdir()
    folder(config).write_text("in the way")
    with closing(Subscriber(started_broker.port)) as subscriber:
        code, errors = finished(run(config), timeout_s=60)
        assert code == 0, errors
        events = subscriber.events()
        images = subscriber.of("street/snapshot")
    assert left(events) == PLATES
    assert [event["snapshot"] for event in events] == [None] * len(events)
    assert len(images) >= 2
    assert errors.count("what=snapshots") == 1


def test_full_disk_loses_snapshots_but_no_event(config, started_broker):
    with closing(Subscriber(started_broker.port)) as subscriber:
        process = run(config)
        until(lambda: "camera online" in process.stderr.readline())
        limits = resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        until(lambda: "what=snapshots" in process.stderr.readline())
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limits)
        code, errors = finished(process, timeout_s=60)
        assert code == 0, errors
        events = subscriber.events()
        images = subscriber.of("street/snapshot")
    assert left(events) == PLATES
    assert events[0]["snapshot"] is None
    assert events[-1]["snapshot"] is not None
    assert len(images) >= 3
    (end,) = [line for line in errors.splitlines() if "what=snapshots" in line]
    assert "outage ends" in end


def left(events: list[dict[str, Any]]) -> list[str]:
    return sorted(event["plate"] for event in events if event["event_type"] == "plate_left")
