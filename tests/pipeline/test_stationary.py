from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from plateid.core.records import Box
from plateid.pipeline.clock_overlays import Overlays
from plateid.pipeline.stationary import MAX_TEXTS, Standing

START = datetime(2026, 1, 1, tzinfo=UTC)
BOX: Box = (100.0, 100.0, 200.0, 120.0)


def moment(t: float) -> datetime:
    return START + timedelta(seconds=t)


def shifted(x: float = 0, y: float = 0) -> Box:
    return BOX[0] + x, BOX[1] + y, BOX[2] + x, BOX[3] + y


def reads(texts: list[str], *, rate: float, box: Box = BOX) -> Standing:
    standing = Standing(box, START)
    for number, text in enumerate(texts):
        standing.follow(box, moment(number / rate))
        standing.add(text, moment(number / rate))
    return standing


def clock(seconds: float, rate: float, phase: float = 0.0) -> list[str]:
    return [f"1200{int(number / rate + phase):02}" for number in range(int(seconds * rate) + 1)]


@pytest.mark.parametrize("box", [shifted(19), shifted(0, 19), (98.0, 95.0, 202.0, 121.0)])
def test_jitter_is_no_movement(box):
    standing = Standing(BOX, START)
    for number in range(20):
        standing.follow(box if number % 2 else BOX, moment(number))
    assert not standing.moved
    assert standing.stood_s(moment(20)) == 20


@pytest.mark.parametrize("box", [shifted(21), shifted(0, -21), (80.0, 96.0, 220.0, 125.0)])
def test_two_sights_elsewhere_are_movement_and_one_is_not(box):
    standing = Standing(BOX, START)
    standing.follow(box, moment(1))
    assert not standing.moved
    standing.follow(box, moment(2))
    assert standing.moved
    assert standing.stood_s(moment(5)) == 3


def test_the_longest_stay_is_remembered():
    standing = Standing(BOX, START)
    for t in (100, 101, 102):
        standing.follow(shifted(50), moment(t))
    assert standing.longest_s(moment(110)) == 101
    assert standing.longest_s(moment(250)) == 149


def test_one_that_is_found_again_in_its_place_goes_on_standing():
    standing = Standing(BOX, START)
    standing.go_on_as(Standing(shifted(5), moment(50)), moment(50))
    assert standing.stood_s(moment(60)) == 60
    standing.go_on_as(Standing(shifted(500), moment(70)), moment(70))
    assert standing.moved
    assert standing.stood_s(moment(80)) == 10


@pytest.mark.parametrize("rate", [2, 3, 5, 10, 15, 30])
@pytest.mark.parametrize("phase", np.arange(0, 1, 0.1))
@pytest.mark.parametrize("seconds", [4, 7, 20])
def test_a_clock_ticks_at_any_frame_rate(rate, phase, seconds):
    assert reads(clock(seconds, rate, phase), rate=rate).ticks()


def test_a_plate_does_not_tick_nor_does_a_clock_at_once():
    assert not reads(["B68SPK"] * 100, rate=10).ticks()
    assert not reads(clock(3, 10), rate=10).ticks()
    assert not Standing(BOX, START).ticks()


def test_a_plate_that_is_misread_every_other_time_does_not_tick():
    rng = np.random.default_rng(1)
    told = [
        reads(list(rng.choice(["B68SPK", "868SPK", "B6BSPK"], 150, p=[0.6, 0.2, 0.2])), rate=10)
        for _ in range(200)
    ]
    assert sum(standing.ticks() for standing in told) == 0


def test_what_moved_does_not_tick():
    standing = reads(clock(10, 10), rate=10)
    for t in (11, 12):
        standing.follow(shifted(100), moment(t))
    assert not standing.ticks()


def test_memory_stays_bounded_however_long_it_stands():
    standing = reads(clock(600, 10), rate=10)
    assert len(standing._texts) <= MAX_TEXTS
    assert standing.ticks()


def test_the_places_of_clocks_are_remembered_for_glimpses_of_them():
    overlays = Overlays()
    glimpse = reads(["120000"] * 5, rate=10, box=shifted(3))
    assert not overlays.hold(glimpse, 0.5)
    assert overlays.hold(reads(clock(5, 10), rate=10), 5)
    assert overlays.places == [BOX]
    assert overlays.hold(glimpse, 0.5)
    assert not overlays.hold(glimpse, 10)  # it stands there, and does not tick
    assert not overlays.hold(reads(["120000"] * 5, rate=10, box=shifted(300)), 0.5)
