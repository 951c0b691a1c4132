import json
import time
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from click.testing import CliRunner

from plateid.bench import accuracy_of, capacity
from plateid.bench.chart import Line, bars, plot, svg
from plateid.bench.scenes import crowded, write_turned
from plateid.bench.stages import STAGES
from plateid.bench.stopwatch import Stopwatch
from plateid.capture.video_file import read_video
from plateid.commands.main import main
from plateid.config.models import ModelsConfig
from plateid.demo import CLIP
from plateid.models.networks import Networks
from tests.support.videos import write_video


class Cook:
    def boil(self):
        time.sleep(0.2)
        self.salt()

    def salt(self):
        time.sleep(0.01)


def test_the_time_of_an_inner_stage_is_not_that_of_the_outer_one():
    watch, cook, salted = Stopwatch(), Cook(), []
    watch.watch(Cook, "boil", "boil")
    watch.watch(cook, "salt", "salt", seen=lambda: salted.append(1))
    for _ in range(2):
        watch.next_frame()
        cook.boil()
    watch.stop()
    boil, salt = watch.times("boil"), watch.times("salt")
    assert boil.shape == salt.shape == (2,)
    assert (boil > salt).all() and (salt > 0).all() and len(salted) == 2
    assert "salt" not in vars(cook) and Cook.boil.__name__ == "boil"
    assert watch.times("fry").sum() == 0


@pytest.mark.parametrize("count", [0, 1, 5, 20])
def test_a_crowd_has_so_many_plates_and_they_move(count):
    detector = Networks(ModelsConfig()).detector()
    first, second = (detector.detect(frame.image) for frame in crowded(count, 2))
    assert 0.8 * count <= len(first) <= count
    assert {each.box for each in first}.isdisjoint(each.box for each in second)


def test_a_turned_clip_has_the_same_pictures_from_another_moment_on(tmp_path):
    whole, turned = tmp_path / "whole.mp4", tmp_path / "turned.mp4"
    write_video(whole, count=40)
    write_turned(turned, whole, 0.5)
    frames, others = list(read_video(whole)), list(read_video(turned))
    assert len(frames) == len(others)
    assert [each.media_time_s for each in frames] == [each.media_time_s for each in others]
    images = [[each.image.resized(64, 48).tobytes() for each in f] for f in (frames, others)]
    start = images[0].index(images[1][0])
    assert start == 20
    assert images[1] == images[0][start:] + images[0][:start]


def test_the_picture_is_svg_with_all_that_it_was_given():
    lines = [Line("sent <all>", [(1, 15), (2, 30)]), Line("seen", [(1, 15), (2, 22.5)])]
    parts = [
        bars("Stages", {"decode": 5.0, "scale": 0.0}, unit="ms"),
        plot("x", lines, x="n", y="f"),
    ]
    image = ET.fromstring(svg(parts))  # noqa: S314 - our own
    texts = "".join(image.itertext())
    for text in ("Stages", "decode", "5 ms", "0 ms", "sent <all>", "seen"):
        assert text in texts
    assert len(image.findall(".//{*}polyline")) == 2


def test_a_bench_measures_frames_and_the_service_and_writes_it_down(tmp_path, bundle, monkeypatch):
    monkeypatch.setattr(capacity, "WARM_UP_S", 0.5)
    clip, figures, image = (tmp_path / name for name in ("clip.mp4", "f.json", "p.svg"))
    write_video(clip, count=60)
    command = ["bench", "--clip", clip, "--bundle", bundle, "--cameras", "1,2", "--seconds", 3]
    files = ["--json", figures, "--picture", image]
    done = CliRunner().invoke(main, [str(word) for word in (*command, *files)])
    assert done.exit_code == 0, done.output
    told = json.loads(figures.read_text())
    assert list(told["stages"]) == list(STAGES)
    assert np.isclose(sum(stage["share"] for stage in told["stages"].values()), 1)
    assert told["ratio"] > 1
    assert [load["cameras"] for load in told["cameras"]] == [1, 2]
    for load in told["cameras"]:
        assert load["least"] > 0 and load["memory_mb"] > 0 and load["cores"] > 0
    assert "<svg" in image.read_text()
    assert "streams held in real time" in done.output


def test_vehicles_that_are_told_right_are_counted():
    plates = [v["plate"] for v in json.loads(CLIP.with_suffix(".json").read_text())["vehicles"]]
    every = len(plates)
    assert accuracy_of(plates) == {"vehicles": every, "right": every, "wrong": 0}
    told = [*plates[1:], "B68SPK", plates[1]]
    assert accuracy_of(told) == {"vehicles": every, "right": every - 1, "wrong": 2}


@pytest.mark.parametrize("cameras", ["0", "1,x", "-1"])
def test_numbers_of_cameras_are_numbers(cameras):
    done = CliRunner().invoke(main, ["bench", "--cameras", cameras])
    assert done.exit_code == 2
    assert "must be numbers from 1 on" in done.output


def test_a_clip_or_a_file_that_cannot_be_used_is_one_error(tmp_path):
    text, clip = tmp_path / "notes.mp4", tmp_path / "clip.mp4"
    text.write_text("no video")
    write_video(clip, count=5)
    nowhere = tmp_path / "missing" / "figures.json"
    for words, named, code in (
        (["--clip", tmp_path / "none.mp4"], "none.mp4: does not exist", 1),
        (["--clip", text], "notes.mp4: is not a video", 1),
        (["--clip", clip, "--json", nowhere], f"{nowhere}': No such file", 2),
    ):
        done = CliRunner().invoke(main, ["bench", "--cameras", "", *map(str, words)])
        assert done.exit_code == code, done.output
        assert named in done.output
        assert "Traceback" not in done.output
