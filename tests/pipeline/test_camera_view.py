"""Region of interest, masks and direction in the events of a camera."""

from datetime import timedelta

import pytest

from plateid.core.records import Box, Direction
from plateid.core.view import View
from tests.pipeline.road import (
    RULES,
    START,
    UPRIGHT_LINE,
    FakeNetworks,
    GrowingNetworks,
    Vehicle,
    record,
)

LEFT_HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
LANE = ((0.3, 0.3), (0.6, 0.3), (0.6, 0.6), (0.3, 0.6))
"""Zoomed, the detector gets x = 256 to 896 of an image that is 1280 pixels wide."""


@pytest.mark.parametrize(
    ("view", "count"),
    [
        (View(), 2),
        (View(roi=LEFT_HALF), 2),
        (View(masks=(((0, 0), (1, 0), (1, 1), (0, 1)),)), 0),
        (View(roi=((0.5, 0.5), (1, 0.5), (1, 1), (0.5, 1))), 0),
        (View(min_plate_height=25), 2),
        (View(min_plate_height=25.1), 0),
    ],
)
def test_plate_outside_the_view_is_ignored(view, count):
    assert len(record(Vehicle("B68SPK", 0.5, 3), view=view, rate=10).events) == count


def test_detector_gets_only_the_zoomed_roi():
    road, elsewhere = Vehicle("B68SPK", 0.5, 8), Vehicle("CJ07RTA", 1, 8, x=1100, speed=0)
    whole, zoomed = (
        record(road, elsewhere, view=View(roi=LANE, zoom=z), rate=10) for z in (False, True)
    )
    assert whole.published() == zoomed.published()
    assert [f and f.box for f in zoomed.frames] == [f and f.box for f in whole.frames]
    assert {len(frame.plates) for frame in zoomed.frames if frame} == {1}
    assert {len(frame.plates) for frame in whole.frames if frame} == {2}


def test_plate_cut_off_by_the_zoomed_roi_is_not_read():
    class Near(Vehicle):
        def box(self, t: float) -> Box:
            x1, y1, *_ = super().box(t)
            return x1, y1, x1 + 400, y1 + 100

    near = Near("B68SPK", 0.5, 3, x=200, speed=0)
    whole, zoomed = (
        record(near, view=View(roi=LANE, zoom=z), rate=10).networks for z in (False, True)
    )
    assert whole.detect_calls == zoomed.detect_calls > 0
    assert (whole.boxes_read > 0, zoomed.boxes_read) == (True, 0)


def test_vehicle_that_passes_behind_a_mask_is_one_pass():
    mask = ((0.25, 0.3), (0.3, 0.3), (0.3, 0.5), (0.25, 0.5))
    assert len(record(Vehicle("B68SPK", 0.5, 5), view=View(masks=(mask,)), rate=10).events) == 2


@pytest.mark.parametrize(
    ("vehicle", "view", "direction"),
    [
        (Vehicle("B68SPK", 0, 5), View(), Direction(None, 90.0)),
        (Vehicle("B68SPK", 0, 5, x=900, speed=-150), View(), Direction(None, 270.0)),
        (Vehicle("B68SPK", 0, 5), View(line=UPRIGHT_LINE), Direction("in", 90.0)),
        (Vehicle("B68SPK", 0, 5), View(line=UPRIGHT_LINE[::-1]), Direction("out", 90.0)),
        (
            Vehicle("B68SPK", 0, 5, x=900, speed=-150),
            View(line=UPRIGHT_LINE),
            Direction("out", 270.0),
        ),
        (Vehicle("B68SPK", 0, 2, x=500), View(line=UPRIGHT_LINE), Direction(None, 90.0)),
        (Vehicle("B68SPK", 0, 6, speed=0), View(line=UPRIGHT_LINE), None),
    ],
)
def test_plate_left_has_the_direction_of_the_pass(vehicle, view, direction):
    assert record(vehicle, view=view, rate=10).events[-1].direction == direction


def test_plate_seen_has_the_expected_way_and_plate_left_only_a_crossing():
    view = View(line=UPRIGHT_LINE)
    crosses, turns_off = (record(Vehicle("B68SPK", 0, end), view=view) for end in (5, 1.2))
    for events in (crosses.events, turns_off.events):
        assert events[0].last_seen < START + timedelta(seconds=1)
        assert events[0].direction == Direction("in", 90.0)
    assert crosses.events[1].direction == Direction("in", 90.0)
    assert turns_off.events[1].direction == Direction(None, 90.0)


@pytest.mark.parametrize(
    ("networks", "required", "way", "waits"),
    [
        (FakeNetworks(), False, None, False),
        (FakeNetworks(), True, None, True),
        (GrowingNetworks(), True, "in", False),
    ],
)
def test_plate_seen_waits_for_a_required_direction_up_to_max_wait_s(networks, required, way, waits):
    rules = RULES.model_copy(update={"require_direction": required})
    view = View(approaching="in")
    seen = record(Vehicle("B68SPK", 0, 6), view=view, rules=rules, networks=networks).events[0]
    assert seen.direction is not None
    assert seen.direction.way == way
    waited_s = (seen.last_seen - seen.first_seen).total_seconds()
    assert (waited_s >= RULES.max_wait_s) == waits
    assert waited_s < RULES.max_wait_s + 0.1


def test_vehicle_that_turns_round_has_its_last_direction():
    there = Vehicle("B68SPK", 0, 3, x=200)
    back = Vehicle("B68SPK", 3.01, 6, x=650, speed=-150)
    left = record(there, back, view=View(line=UPRIGHT_LINE), rate=10).events[-1]
    assert left.direction is not None
    assert left.direction.way == "out"
