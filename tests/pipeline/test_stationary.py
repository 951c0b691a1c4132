from datetime import UTC, datetime, timedelta

import pytest

from plateid.core.records import Box
from plateid.pipeline.stationary import Movement

START = datetime(2026, 1, 1, tzinfo=UTC)
BOX: Box = (100.0, 100.0, 200.0, 120.0)


def moment(t: float) -> datetime:
    return START + timedelta(seconds=t)


def shifted(x: float = 0, y: float = 0) -> Box:
    return BOX[0] + x, BOX[1] + y, BOX[2] + x, BOX[3] + y


@pytest.mark.parametrize("box", [shifted(19), shifted(0, 19), (98.0, 95.0, 202.0, 121.0)])
def test_jitter_is_no_movement(box):
    movement = Movement(BOX, START)
    for number in range(20):
        movement.update(box if number % 2 else BOX, moment(number))
    assert not movement.moved
    assert movement.stationary_s(moment(20)) == 20


@pytest.mark.parametrize("box", [shifted(21), shifted(0, -21), (80.0, 96.0, 220.0, 125.0)])
def test_plate_has_moved_after_two_detections_elsewhere_but_not_after_one(box):
    movement = Movement(BOX, START)
    movement.update(box, moment(1))
    assert not movement.moved
    movement.update(box, moment(2))
    assert movement.moved
    assert movement.stationary_s(moment(5)) == 3


def test_longest_stationary_time_survives_later_movement():
    movement = Movement(BOX, START)
    for t in (100, 101, 102):
        movement.update(shifted(50), moment(t))
    assert movement.longest_stationary_s(moment(110)) == 101
    assert movement.longest_stationary_s(moment(250)) == 149


def test_plate_found_again_in_its_place_stays_stationary():
    movement = Movement(BOX, START)
    movement.continue_with(Movement(shifted(5), moment(50)), moment(50))
    assert movement.stationary_s(moment(60)) == 60
    movement.continue_with(Movement(shifted(500), moment(70)), moment(70))
    assert movement.moved
    assert movement.stationary_s(moment(80)) == 10
