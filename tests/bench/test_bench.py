import json

import numpy as np
import pytest
from click.testing import CliRunner, Result

from plateid.bench import capacity
from plateid.bench.capacity import write_rotated
from plateid.bench.stages import STAGES, accuracy_of
from plateid.capture.video_file import read_video
from plateid.commands.main import main
from plateid.demo import DEMO_VIDEO
from tests.support.samples import event
from tests.support.videos import write_video


def test_rotated_video_has_the_same_frames_from_another_start(tmp_path):
    whole, rotated = tmp_path / "whole.mp4", tmp_path / "rotated.mp4"
    write_video(whole, count=40)
    write_rotated(rotated, whole, 0.5)
    frames, others = list(read_video(whole)), list(read_video(rotated))
    assert len(frames) == len(others)
    assert [each.media_time_s for each in frames] == [each.media_time_s for each in others]
    images = [[each.image.resized(64, 48).tobytes() for each in f] for f in (frames, others)]
    start = images[0].index(images[1][0])
    assert start == 20
    assert images[1] == images[0][start:] + images[0][:start]


def bench(*words: object) -> Result:
    return CliRunner().invoke(main, ["bench", *map(str, words)])


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "video.mp4", count=60)


def test_bench_measures_stages_and_the_service(video, bundle, monkeypatch):
    monkeypatch.setattr(capacity, "WARM_UP_S", 0.5)
    options = ["--video", video, "--bundle", bundle, "--seconds", 3]
    done = bench(*options, "--cameras", "1,2", "--json")
    assert done.exit_code == 0, done.output
    assert "measuring 2 of 2 cameras ..." in done.stderr
    report = json.loads(done.stdout)
    assert list(report["stages"]) == list(STAGES)
    assert np.isclose(sum(stage["share"] for stage in report["stages"].values()), 1)
    assert report["ratio"] > 1
    assert [load["cameras"] for load in report["cameras"]] == [1, 2]
    for load in report["cameras"]:
        assert load["min_rate"] > 0 and load["memory_mb"] > 20 and load["cores"] > 0


def test_bench_prints_text(video, bundle, monkeypatch):
    monkeypatch.setattr(capacity, "WARM_UP_S", 0.5)
    done = bench("--video", video, "--bundle", bundle, "--seconds", 1, "--cameras", "1")
    assert done.exit_code == 0, done.output
    for words in ("decode", "ratio", "capture to webhook", "streams held in real time"):
        assert words in done.stdout


def test_correct_vehicles_are_counted():
    vehicles = json.loads(DEMO_VIDEO.with_suffix(".json").read_text())["vehicles"]
    plates, every = [vehicle["plate"] for vehicle in vehicles], len(vehicles)
    for read, right, wrong in (
        (plates, every, 0),
        ([*plates[1:], "B68SPK", plates[1]], every - 1, 2),
    ):
        events = [event(1, plate=plate, event_type="plate_left") for plate in read]
        found = accuracy_of([*events, event(1)])
        assert found == {"vehicles": every, "right": right, "wrong": wrong}


@pytest.mark.parametrize("cameras", ["0", "1,x", "-1"])
def test_numbers_of_cameras_start_at_1(cameras):
    done = bench("--cameras", cameras)
    assert done.exit_code == 2
    assert "must be numbers from 1" in done.output


def test_video_that_cannot_be_used_is_one_error(tmp_path):
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    for file, message in ((tmp_path / "none.mp4", "does not exist"), (text, "is not a video")):
        done = bench("--cameras", "", "--video", file)
        assert done.exit_code == 1, done.output
        assert f"{file.name}: {message}" in done.stderr
