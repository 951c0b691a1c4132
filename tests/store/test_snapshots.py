"""Snapshots of the demo video, made by the shipped networks."""

import hashlib
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from jsonschema import Draft202012Validator

from plateid.capture.images import ArrayImage
from plateid.capture.video_file import read_video
from plateid.config.load import load_config
from plateid.config.models import ModelsConfig
from plateid.config.root import Config
from plateid.core.geometry import same_place
from plateid.core.reading import read_detections
from plateid.core.records import BestFrame, ListMatch
from plateid.core.text import edit_distance
from plateid.demo import DEMO_VIDEO
from plateid.errors import ConfigError
from plateid.models.networks import Networks
from plateid.pipeline.camera_pipeline import CameraPipeline
from plateid.pipeline.event_builder import EventBuilder, PipelineSettings
from plateid.store.snapshot_files import SnapshotFiles
from plateid.store.snapshots import MAX_BYTES, Snapshots, encoded
from tests.core.test_schema import SCHEMA
from tests.support.broken_disk import full_disk
from tests.support.samples import SEEN, said
from tests.support.samples import event as make_event

UNTIL_S = 5.8
"""Two vehicles pass side by side; both are visible for a second."""
PLATES = {"MM93LXN", "KX73LPH"}


@pytest.fixture(scope="module")
def networks():
    return Networks(ModelsConfig())


@pytest.fixture(scope="module")
def passes(networks):
    """The events of the video, each with its best frame, which outlives the decoder."""
    events = []

    def take(event, frame):
        events.append((event, frame))

    sequence = iter(range(1, 100))
    pipeline = CameraPipeline(
        PipelineSettings("street"),
        EventBuilder("box", networks.names, lambda: next(sequence), take_snapshot=take),
        detect=networks.detector().detect,
        read=networks.reader().read,
        sink=lambda _event: None,
    )
    for frame in read_video(DEMO_VIDEO):
        if frame.media_time_s > UNTIL_S:
            break
        pipeline.process(frame)
    pipeline.finish()
    return events


@pytest.fixture
def last(passes):
    """Returns the last event of a plate that has a best frame, and that frame."""

    def last_of(plate):
        return next(
            (event, frame) for event, frame in reversed(passes) if frame and event.plate == plate
        )

    return last_of


class Taken:
    """The snapshots of one configuration, and what they published."""

    def __init__(self, store, **tables):
        config = Config.model_validate({"camera": [{"name": "street", "url": "x"}], **tables})
        self.files = SnapshotFiles(store)
        self.published = []
        self.snapshots = Snapshots(
            config.snapshots,
            config.snapshot_policies,
            self.files,
            retention=config.retention,
            publish=lambda _camera, jpeg: self.published.append(jpeg),
        )

    def take(self, event, frame, *, listed=False):
        match = ListMatch("Ana", "allow", 0) if listed else None
        return self.snapshots.take(replace(event, list=match), frame)

    def jpeg(self, event, frame, *, listed=False):
        return (self.files.folder / self.take(event, frame, listed=listed).file).read_bytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.sqlite3"


def pixels(jpeg, flags=cv2.IMREAD_COLOR):
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), flags)


def read_again(networks, jpeg):
    """The boxes of the plates in a JPEG, by text."""
    image = ArrayImage(pixels(jpeg))
    plates = read_detections(image, networks.detector().detect(image), networks.reader().read)
    return {plate.text: plate.box for plate in plates}


def of_pass(event, event_type):
    return make_event(1, pass_id=event.pass_id, event_type=event_type, box=event.box)


def test_each_event_has_a_jpeg_that_shows_its_plate(passes, networks, path):
    taken = Taken(path)
    assert {event.plate for event, _ in passes} == PLATES
    misread = 0
    for event, frame in passes:
        snapshot = taken.take(event, frame)
        jpeg = (taken.files.folder / snapshot.file).read_bytes()
        assert (jpeg[:3], jpeg[-2:]) == (b"\xff\xd8\xff", b"\xff\xd9")
        assert snapshot.sha256 == hashlib.sha256(jpeg).hexdigest()
        assert len(jpeg) < 200_000
        again = read_again(networks, jpeg).items()
        (text,) = (text for text, box in again if same_place(box, event.box))
        assert edit_distance(text, event.plate) <= 1
        misread += text != event.plate
        stored = replace(event, snapshot=snapshot).to_json()
        Draft202012Validator(SCHEMA).validate(json.loads(stored))
    assert misread <= 1, "a pass fuses the reads of many frames"
    assert len(taken.published) == sum(frame is not None for _, frame in passes)
    assert all(frame is not None for event, frame in passes if event.event_type == "plate_seen")


@pytest.mark.parametrize(
    ("side", "size"), [(640, (360, 640)), (1280, (720, 1280)), (4096, (720, 1280))]
)
def test_large_image_is_scaled_to_its_longest_side(last, path, side, size):
    taken = Taken(path, snapshots={"max_side": side})
    snapshot = taken.take(*last("MM93LXN"))
    assert pixels(taken.published[0]).shape[:2] == size
    assert snapshot.frame == (1280, 720), "the size that the box refers to"


@pytest.mark.parametrize(
    "tables", [{"privacy": {"unlisted": "hash"}}, {"snapshots": {"unlisted": "blur"}}]
)
def test_plate_that_is_not_kept_is_illegible_in_every_image(passes, networks, path, tables):
    taken = Taken(path, **tables)
    for event, frame in passes:
        snapshot = taken.take(event, frame)
        assert snapshot.file.endswith("-hidden.jpg")
        jpeg = (taken.files.folder / snapshot.file).read_bytes()
        assert not read_again(networks, jpeg).keys() & PLATES
    for jpeg in taken.published:
        assert not read_again(networks, jpeg).keys() & PLATES


def test_snapshot_of_a_listed_vehicle_shows_no_other_plate(passes, networks, path):
    with_both = [
        (event, frame)
        for event, frame in passes
        if frame is not None
        and read_again(networks, encoded(frame.image.resized(1280, 720), 90)).keys() >= PLATES
    ]
    assert with_both, "no frame shows both plates"
    taken = Taken(path, privacy={"unlisted": "drop"})
    for event, frame in with_both:
        jpeg = taken.jpeg(event, frame, listed=True)
        assert read_again(networks, jpeg).keys() & PLATES == {event.plate}


def test_background_of_the_vehicle_is_blurred_and_its_plate_is_not(last, networks, path):
    event, frame = last("KX73LPH")
    jpeg = Taken(path, snapshots={"unlisted": "vehicle"}).jpeg(event, frame)
    assert event.plate in read_again(networks, jpeg)
    whole = cv2.cvtColor(frame.image.resized(1280, 720), cv2.COLOR_BGR2GRAY)
    corner = slice(0, 200), slice(0, 600)  # houses and trees
    assert detail(pixels(jpeg, cv2.IMREAD_GRAYSCALE)[corner]) < 0.2 * detail(whole[corner])


def detail(image):
    return float(np.abs(cv2.Laplacian(image, cv2.CV_32F)).mean())


def test_plate_left_without_a_better_frame_has_the_snapshot_of_plate_seen(last, path):
    event, frame = last("MM93LXN")
    taken = Taken(path)
    seen = taken.take(of_pass(event, "plate_seen"), frame)
    assert taken.take(of_pass(event, "plate_left"), None) == seen
    assert taken.take(of_pass(event, "plate_left"), None) is None, "the pass is over"
    assert len(taken.published) == 1


DROP = {"unlisted": "drop"}


@pytest.mark.parametrize(
    ("before", "now", "has_it"),
    [({}, {}, True), (DROP, DROP, True), ({}, DROP, False)],
)
def test_plate_left_after_a_kill_has_the_snapshot_of_plate_seen(last, path, *, before, now, has_it):
    event, frame = last("MM93LXN")
    seen = of_pass(event, "plate_seen")
    seen = replace(seen, snapshot=Taken(path, privacy=before).take(seen, frame))
    again = Taken(path, privacy=now)
    again.snapshots.resume([seen, of_pass(event, "plate_seen")])
    assert again.take(of_pass(event, "plate_left"), None) == (seen.snapshot if has_it else None)


def test_event_that_is_no_longer_listed_does_not_name_the_snapshot_of_a_listed_one(last, path):
    event, frame = last("MM93LXN")
    taken = Taken(path, privacy=DROP)
    assert taken.take(of_pass(event, "plate_seen"), frame, listed=True) is not None
    assert taken.take(of_pass(event, "plate_left"), None, listed=False) is None


@pytest.mark.parametrize(
    ("settings", "listed"),
    [({"enabled": False}, False), ({"unlisted": "off"}, False), ({"listed": "off"}, True)],
)
def test_no_snapshots_are_made_if_they_are_off(last, path, settings, listed):
    taken = Taken(path, snapshots=settings)
    assert taken.take(*last("MM93LXN"), listed=listed) is None
    assert taken.published == []
    assert not taken.files.folder.exists()


def test_full_disk_loses_the_file_but_publishes_the_image(last, path, logs):
    seen, frame = last("MM93LXN")
    taken = Taken(path)
    with full_disk():
        for _ in range(3):
            assert taken.take(make_event(1), frame) is None
    assert taken.take(seen, frame) is not None
    assert len(taken.published) == 4
    assert said(logs, "outage starts") == [f"{taken.files.folder}: File too large"]
    assert len(said(logs, "outage goes on")) == 0
    assert len(said(logs, "outage ends")) == 1
    health = taken.snapshots.health()
    assert (health.written, health.lost, health.deleted, health.mb) == (1, 3, 0, None)
    taken.snapshots.check()
    assert taken.snapshots.health().mb == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize("size", [(720, 1280), (1, 1), (4096, 1), (1280, 4096)])
def test_no_jpeg_is_larger_than_brokers_take(size):
    noise = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    for quality in (10, 95):
        jpeg = encoded(noise, quality)
        assert len(jpeg) <= MAX_BYTES
        assert pixels(jpeg) is not None


@pytest.mark.parametrize("shown", ["keep", "vehicle"])
@pytest.mark.parametrize("kind", ["unlisted", "listed"])
def test_snapshots_that_show_more_than_events_are_a_configuration_error(tmp_path, shown, kind):
    file = tmp_path / "plateid.toml"
    file.write_text(
        f'privacy.{kind} = "hash"\nsnapshots.{kind} = "{shown}"\n[[camera]]\nname = "a"\nurl = "x"'
    )
    message = f'snapshots.{kind} = "{shown}" shows plates, but privacy.{kind} is "hash"'
    with pytest.raises(ConfigError, match=message):
        load_config(file)


def test_frame_is_not_changed_for_its_other_users(path):
    image = np.full((48, 64, 3), 255, np.uint8)
    image[20:30, 20:40] = 0
    frame = BestFrame(ArrayImage(image), (20, 20, 40, 30), ((20, 20, 40, 30),))
    before = image.copy()
    for shown in ("keep", "vehicle", "blur"):
        assert Taken(path, snapshots={"unlisted": shown}).take(SEEN, frame) is not None
    assert (image == before).all()
