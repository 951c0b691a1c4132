"""The best shots of the demo's clip, through the networks that ship, as pictures."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from plateid.capture.images import ArrayImage
from plateid.capture.video_file import read_video
from plateid.config.load import load_config
from plateid.config.models import ModelsConfig
from plateid.config.root import Config
from plateid.core.geometry import same_place
from plateid.core.records import BestFrame, Box, Image, ListMatch, PlateEvent, Snapshot
from plateid.demo import DEMO_VIDEO
from plateid.errors import ConfigError
from plateid.models.networks import Networks
from plateid.pipeline.camera_pipeline import CameraPipeline
from plateid.pipeline.event_builder import EventServices, Origin
from plateid.pipeline.settings import PipelineSettings
from plateid.pipeline.stills import read_detections
from plateid.store.snapshot_files import SnapshotFiles
from plateid.store.snapshots import MAX_BYTES, Snapshots, encoded
from tests.core.test_schema import SCHEMA
from tests.support.broken_disk import full_disk
from tests.support.samples import SEEN, Logs, event, said

UNTIL_S = 5.8
"""Two vehicles pass, one on each side, for a second both at a time."""
PLATES = {"MM93LXN", "KX73LPH"}


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks(ModelsConfig())


@pytest.fixture(scope="module")
def passes(networks: Networks) -> list[tuple[PlateEvent, BestFrame | None]]:
    """What the pipeline tells of the clip; its frames outlive the decoder here."""
    told: list[tuple[PlateEvent, BestFrame | None]] = []

    class Sink:
        def take(self, event: PlateEvent, frame: BestFrame | None) -> None:
            told.append((event, frame))

        def accept(self, event: PlateEvent) -> None:
            pass

    sequence, sink = iter(range(1, 100)), Sink()
    services = EventServices(next_seq=lambda: next(sequence), snapshots=sink)
    pipeline = CameraPipeline(
        Origin("box", "street", networks.names, services),
        PipelineSettings(),
        detector=networks.detector(),
        reader=networks.reader(),
        sink=sink,
    )
    for frame in read_video(DEMO_VIDEO):
        if frame.media_time_s > UNTIL_S:
            break
        pipeline.process(frame)
    pipeline.finish()
    return told


class Taken:
    """Snapshots of one configuration, and what they published."""

    def __init__(self, store: Path, **tables: Any) -> None:
        camera = {"name": "street", "url": "x"}
        config = Config.model_validate({"camera": [camera], **tables})
        self.album = SnapshotFiles(store)
        self.published: list[bytes] = []
        self.snapshots = Snapshots(
            config.snapshots,
            config.shown,
            self.album,
            retention=config.retention,
            publish=lambda _camera, jpeg: self.published.append(jpeg),
        )

    def take(self, event: PlateEvent, frame: BestFrame | None, *, listed: bool = False) -> Any:
        known = ListMatch("Ana", "allow", 0) if listed else None
        return self.snapshots.take(replace(event, list=known), frame)

    def bytes_of(self, snapshot: Snapshot) -> bytes:
        return (self.album.folder / snapshot.file).read_bytes()


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite3"


def read_again(networks: Networks, jpeg: bytes) -> dict[str, Box]:
    """The plates that the shipped networks find in a JPEG."""
    image = ArrayImage(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))
    found = networks.detector().detect(image)
    plates = read_detections(image, found, networks.reader())
    return {plate.text: plate.box for plate in plates}


def of_plate(
    passes: list[tuple[PlateEvent, BestFrame | None]], plate: str
) -> tuple[PlateEvent, BestFrame]:
    """When it leaves, best in view."""
    for told, shot in reversed(passes):
        if told.plate == plate and shot is not None:
            return told, shot
    raise AssertionError(plate)


def test_each_event_has_a_jpeg_that_shows_its_plate(passes, networks, store_path):
    taken = Taken(store_path)
    assert {told.plate for told, _ in passes} == PLATES
    for told, shot in passes:
        snapshot = taken.take(told, shot)
        jpeg = taken.bytes_of(snapshot)
        assert jpeg[:3] == b"\xff\xd8\xff"
        assert jpeg[-2:] == b"\xff\xd9"
        assert snapshot.sha256 == hashlib.sha256(jpeg).hexdigest()
        assert len(jpeg) < 200_000
        assert same_place(read_again(networks, jpeg)[told.plate], told.box)
        full = PlateEvent(**vars(told) | {"snapshot": snapshot})
        Draft202012Validator(SCHEMA).validate(json.loads(full.to_json()))
    assert len(taken.published) == sum(shot is not None for _, shot in passes)
    assert all(shot is not None for told, shot in passes if told.event_type == "plate_seen")


def test_a_large_picture_is_scaled_to_its_longest_side(passes, store_path):
    told, shot = of_plate(passes, "MM93LXN")
    for side, size in ((640, (360, 640)), (1280, (720, 1280)), (4096, (720, 1280))):
        taken = Taken(store_path, snapshots={"max_side": side})
        snapshot = taken.take(told, shot)
        jpeg = taken.bytes_of(snapshot)
        assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape[:2] == size
        assert snapshot.frame == (1280, 720), "box is measured in it"


@pytest.mark.parametrize(
    "tables", [{"privacy": {"unlisted": "hash"}}, {"snapshots": {"unlisted": "blur"}}]
)
def test_a_plate_that_is_not_kept_cannot_be_read_in_any_picture(
    passes, networks, store_path, tables
):
    taken = Taken(store_path, **tables)
    for told, shot in passes:
        snapshot = taken.take(told, shot)
        assert snapshot.file.endswith("-hidden.jpg")
        assert not read_again(networks, taken.bytes_of(snapshot)).keys() & PLATES
    for jpeg in taken.published:
        assert not read_again(networks, jpeg).keys() & PLATES


def test_the_picture_of_a_listed_vehicle_shows_no_other_plate(passes, networks, store_path):
    shots = [
        (told, shot, other)
        for told, shot in passes
        if shot is not None
        for other in [read_again(networks, encoded(shot.image.resized(1280, 720), 90))]
        if len(other.keys() & PLATES) == 2
    ]
    assert shots, "no picture with both"
    taken = Taken(store_path, privacy={"unlisted": "drop"})
    for told, shot, _ in shots:
        jpeg = taken.bytes_of(taken.take(told, shot, listed=True))
        assert read_again(networks, jpeg).keys() & PLATES == {told.plate}


def test_around_the_vehicle_is_blurred_and_its_plate_is_not(passes, networks, store_path):
    told, shot = of_plate(passes, "KX73LPH")
    taken = Taken(store_path, snapshots={"unlisted": "vehicle"})
    jpeg = taken.bytes_of(taken.take(told, shot))
    assert told.plate in read_again(networks, jpeg)
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    whole = cv2.cvtColor(shot.image.resized(1280, 720), cv2.COLOR_BGR2GRAY)
    corner = slice(0, 200), slice(0, 600)  # houses and trees
    assert detail(image[corner]) < 0.2 * detail(whole[corner])


def detail(image: Any) -> float:
    return float(np.abs(cv2.Laplacian(image, cv2.CV_32F)).mean())


def test_without_a_better_shot_leaving_has_the_picture_of_seeing(passes, store_path):
    told, shot = of_plate(passes, "MM93LXN")
    taken = Taken(store_path)
    seen = taken.take(told_as(told, "plate_seen"), shot)
    assert taken.take(told_as(told, "plate_left"), None) == seen
    assert taken.take(told_as(told, "plate_left"), None) is None, "the pass is over"
    assert len(taken.published) == 1


DROP = {"unlisted": "drop"}


@pytest.mark.parametrize(
    ("then", "now", "has_it"),
    [({}, {}, True), (DROP, DROP, True), ({}, DROP, False)],
)
def test_after_a_kill_leaving_has_the_picture_of_seeing(passes, store_path, *, then, now, has_it):
    told, shot = of_plate(passes, "MM93LXN")
    seen = told_as(told, "plate_seen")
    seen = replace(seen, snapshot=Taken(store_path, privacy=then).take(seen, shot))
    again = Taken(store_path, privacy=now)
    again.snapshots.resume([seen, told_as(told, "plate_seen")])
    assert again.take(told_as(told, "plate_left"), None) == (seen.snapshot if has_it else None)


def test_a_picture_that_shows_more_than_the_later_event_may_is_not_named_by_it(passes, store_path):
    told, shot = of_plate(passes, "MM93LXN")
    taken = Taken(store_path, privacy={"unlisted": "drop"})
    assert taken.take(told_as(told, "plate_seen"), shot, listed=True) is not None
    assert taken.take(told_as(told, "plate_left"), None, listed=False) is None


def told_as(told: PlateEvent, event_type: str) -> PlateEvent:
    return event(1, pass_id=told.pass_id, event_type=event_type, box=told.box)


@pytest.mark.parametrize(
    ("settings", "listed"),
    [({"enabled": False}, False), ({"unlisted": "off"}, False), ({"listed": "off"}, True)],
)
def test_where_pictures_are_off_there_are_none(passes, store_path, settings, listed):
    told, shot = of_plate(passes, "MM93LXN")
    taken = Taken(store_path, snapshots=settings)
    assert taken.take(told, shot, listed=listed) is None
    assert taken.published == []
    assert not taken.album.folder.exists()


def test_a_full_disk_costs_the_picture_and_is_said_once(passes, store_path, logs: Logs):
    told, shot = of_plate(passes, "MM93LXN")
    taken = Taken(store_path)
    with full_disk():
        for _ in range(3):
            assert taken.take(event(1), shot) is None
    assert taken.take(told, shot) is not None
    assert len(taken.published) == 4, "subscribers get them all the same"
    assert said(logs, "outage starts") == [f"{taken.album.folder}: File too large"]
    assert len(said(logs, "outage goes on")) == 0
    assert len(said(logs, "outage ends")) == 1
    health = taken.snapshots.health()
    assert (health.written, health.lost, health.deleted, health.mb) == (1, 3, 0, None)
    taken.snapshots.check()
    assert taken.snapshots.health().mb == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize("size", [(720, 1280), (1, 1), (4096, 1), (1280, 4096)])
def test_no_picture_is_larger_than_brokers_like(size):
    noise = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    for quality in (10, 95):
        jpeg = encoded(noise, quality)
        assert len(jpeg) <= MAX_BYTES
        assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) is not None


@pytest.mark.parametrize("shown", ["keep", "vehicle"])
@pytest.mark.parametrize("kind", ["unlisted", "listed"])
def test_pictures_that_tell_what_events_may_not_are_refused(tmp_path, shown, kind):
    file = tmp_path / "plateid.toml"
    file.write_text(
        f'privacy.{kind} = "hash"\nsnapshots.{kind} = "{shown}"\n[[camera]]\nname = "a"\nurl = "x"'
    )
    message = f'snapshots.{kind} = "{shown}" shows plates, but privacy.{kind} is "hash"'
    with pytest.raises(ConfigError, match=message):
        load_config(file)


def test_a_picture_is_not_changed_for_those_who_look_at_it_too(store_path):
    image: Image = np.full((48, 64, 3), 255, np.uint8)
    image[20:30, 20:40] = 0
    shot = BestFrame(ArrayImage(image), (20, 20, 40, 30), ((20, 20, 40, 30),))
    before = image.copy()
    for shown in ("keep", "vehicle", "blur"):
        assert Taken(store_path, snapshots={"unlisted": shown}).take(SEEN, shot) is not None
    assert (image == before).all()
