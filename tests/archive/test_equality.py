"""A run in chunks gives the passes of one run."""

import random

import pytest

from plateid.alpr import ALPR
from plateid.archive.plan import WARM_UP_S, plan
from plateid.archive.probe import probe
from plateid.capture.video_file import open_video
from tests.support.archives import assert_equal, chunked_run, whole_run
from tests.support.sighted import FPS, Vehicle, write_street

KINDS = {
    "plain": {},
    "b-frames": {"bf": "3", "preset": "veryfast"},
    "open-gop": {"bf": "2", "preset": "veryfast", "x264-params": "open-gop=1:keyint=12"},
    "long-gop": {"g": "100"},
}


def random_street(seed):
    draw = random.Random(seed)
    starts = [1 + 7 * number + draw.uniform(0, 4) for number in range(5)]
    return [
        Vehicle(number % 3, start, draw.uniform(40, 80), 8 + 48 * (number % 3))
        for number, start in enumerate(starts)
    ]


def times(draw, *, varying):
    at, found = 0.0, []
    while at < 36:
        found.append(at)
        at += draw.choice((0.1, 0.1, 0.2, 0.05)) if varying else 1 / FPS
    return found


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("plain", "mp4"), ("b-frames", "mkv"), ("open-gop", "ts"), ("long-gop", "mp4")],
)
def test_random_cuts_give_the_passes_of_one_run(sighted, tmp_path, kind, suffix):
    seed = [*KINDS].index(kind)
    draw = random.Random(seed)
    moments = times(draw, varying=kind == "plain")
    path = write_street(tmp_path / f"s.{suffix}", random_street(seed), moments, **KINDS[kind])
    wanted = whole_run(ALPR(sighted), path)
    assert len(wanted) >= 5
    for _ in range(2):
        assert_equal(chunked_run(sighted, [path], draw.uniform(5, 12)), wanted)
    fast = chunked_run(sighted, [path], 12, fast=True)
    assert [each[0] for each in fast] == [each[0] for each in wanted]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_chunks_begin_at_the_key_frame_before_their_warm_up(tmp_path, suffix):
    moments = times(random.Random(2), varying=True)
    path = write_street(tmp_path / f"s.{suffix}", [], moments, g="10")
    recording = probe(str(path), None)
    ((_, *chunks),) = plan([recording], 5)
    assert len(chunks) >= 3
    for chunk in chunks:
        with open_video(path) as video:
            begin_s = chunk.start_s - WARM_UP_S
            first = next(iter(video.packets_from(begin_s, recording.first_s)))
        at_s = float(first.pts * first.time_base) - recording.first_s
        assert at_s == pytest.approx(begin_s, abs=1e-6)


def test_vehicle_that_parks_over_many_chunks_is_one_pass(sighted, tmp_path):
    vehicles = [Vehicle(0, 3, y=8, parks_s=80), Vehicle(2, 30, y=88), Vehicle(1, 92, y=56)]
    path = write_street(tmp_path / "s.mp4", vehicles, [n / FPS for n in range(FPS * 100)])
    wanted = whole_run(ALPR(sighted), path)
    assert max(last - first for _, first, last, _ in wanted) > 80
    assert_equal(chunked_run(sighted, [path], 15), wanted)


def test_parked_vehicle_that_leaves_and_returns_gives_two_passes(sighted, tmp_path):
    vehicles = [Vehicle(0, 3, parks_s=70), Vehicle(0, 90)]
    path = write_street(tmp_path / "s.mp4", vehicles, [n / FPS for n in range(FPS * 100)])
    wanted = whole_run(ALPR(sighted), path)
    for chunk_s in (5, 40):
        assert_equal(chunked_run(sighted, [path], chunk_s), wanted)
