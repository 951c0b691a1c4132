"""Passes that were open when plateid was stopped or killed."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from plateid.core.records import PlateEvent
from plateid.core.view import View
from plateid.pipeline.passes import Pass
from tests.pipeline.road import (
    LEFT,
    PARKED_RULES,
    SEEN,
    START,
    UPRIGHT_LINE,
    Recording,
    Vehicle,
    frames,
    pipeline,
    process,
)

STANDS = Vehicle("B68SPK", 0, 20, x=500, speed=0)


def restored(event: PlateEvent, after_s: float) -> Pass:
    return Pass.restored(event, START + timedelta(seconds=after_s))


def restarted(
    *vehicles: Vehicle, stopped: bool = False, after_s: float = 60, until_s: float = 22
) -> Recording:
    """Restarts the pipeline while B68SPK is stationary, after a kill or an orderly stop."""
    before = Recording()
    camera = pipeline(before, PARKED_RULES)
    came = [Vehicle("B68SPK", 0, 2.01, x=200), replace(STANDS, from_s=2.01)]
    process(camera, frames(came, rate=10, until_s=5))
    if stopped:
        camera.finish()
    camera = pipeline(before, PARKED_RULES)
    camera.resume([restored(before.events[-1], after_s)])
    process(camera, frames(list(vehicles), rate=10, until_s=until_s), after_s=after_s)
    camera.finish()
    return before


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize(
    "stands", [STANDS, replace(STANDS, hidden=(3.9, 4.2)), replace(STANDS, hidden=(2, 4))]
)
def test_stationary_vehicle_is_not_published_again_after_restart(stands, stopped):
    result = restarted(stands, stopped=stopped)
    assert result.published() == [SEEN, LEFT]
    seen, left = result.events
    assert (left.pass_id, left.first_seen) == (seen.pass_id, seen.first_seen)
    assert left.dwell_s == pytest.approx(5 if stopped else 80, abs=0.3)


def test_direction_survives_restart_without_frames():
    before = Recording()
    camera = pipeline(before, PARKED_RULES, View(line=UPRIGHT_LINE))
    process(camera, frames([Vehicle("B68SPK", 0, 5)], rate=10, until_s=5))
    camera.finish()
    assert before.events[-1].direction.way == "in"
    camera = pipeline(before, PARKED_RULES, View(line=UPRIGHT_LINE))
    camera.resume([restored(replace(before.events[-1], event_type="plate_seen"), 60)])
    camera.finish()
    assert before.events[-1].direction == before.events[-2].direction


def test_finish_returns_published_passes_at_each_stop():
    result = restarted(STANDS, stopped=True, until_s=8)
    camera = pipeline(result, PARKED_RULES)
    camera.resume([restored(result.events[-1], 120)])
    process(camera, frames([STANDS], rate=10, until_s=8), after_s=120)
    assert camera.finish() == [result.events[0].pass_id]
    assert camera.finish() == []
    camera = pipeline(result, PARKED_RULES)
    camera.resume([restored(result.events[-1], 180)])
    assert camera.finish() == [result.events[0].pass_id], "it may still be there"
    assert result.published() == [SEEN, LEFT]


@pytest.mark.parametrize("forward_from_s", [2, 6, 99])
def test_parked_vehicle_may_be_occluded_right_after_restart(forward_from_s):
    """Meanwhile the network sets the clock of a device without a battery."""
    before = Recording()
    process(pipeline(before, PARKED_RULES), frames([STANDS], rate=10, until_s=14))
    camera = pipeline(before, PARKED_RULES)
    camera.resume([restored(before.events[-1], 60)])
    shown = frames([replace(STANDS, hidden=(7, 12))], rate=10, until_s=18)
    process(camera, shown[: 10 * forward_from_s], after_s=60)
    process(camera, shown[10 * forward_from_s :], after_s=60, step=timedelta(hours=1))
    camera.finish()
    assert before.published() == [SEEN, LEFT]


def test_vehicle_that_drives_off_after_restart_continues_its_path():
    goes = Vehicle("B68SPX", 20.01, 23, x=500)
    left = restarted(STANDS, goes, until_s=26).events[-1]
    assert (left.plate, left.corrected, left.reads > 20) == ("B68SPK", False, True)
    assert all(a.t < b.t for a, b in pairwise(left.path))
    assert left.path[0].box[0] == 200


@pytest.mark.parametrize("comes", [Vehicle("B68SPK", 5, 8), replace(STANDS, from_s=12)])
def test_vehicle_that_returns_after_restart_is_another_pass(comes):
    result = restarted(comes, until_s=30)
    assert sorted(result.published()) == [LEFT, LEFT, SEEN, SEEN]
    assert len({event.pass_id for event in result.events}) == 2


@pytest.mark.parametrize("plate", ["", "0123456789ABCDEF0123456789ABCDEF"])
def test_pass_without_stored_plate_ends_after_restart(plate):
    before = Recording()
    process(pipeline(before, PARKED_RULES), frames([STANDS], rate=10, until_s=5))
    (seen,) = before.events
    camera = pipeline(before, PARKED_RULES)
    unknown = replace(seen, plate=plate, char_confidences=(), candidates=())
    camera.resume([restored(unknown, 60)])
    process(camera, frames([STANDS], rate=10, until_s=14), after_s=60)
    ended = next(event for event in before.events if event.event_type == "plate_left")
    assert (ended.pass_id, ended.plate) == (seen.pass_id, plate)


def test_vehicle_gone_after_restart_left_at_its_last_event():
    seen, left = restarted(until_s=11).events
    assert (left.event_type, left.plate, left.pass_id) == (*LEFT, seen.pass_id)
    assert left.last_seen == seen.last_seen


@pytest.mark.parametrize("days", [-7300, -0.1, 400])
@pytest.mark.parametrize("stands", [True, False])
def test_wrong_clock_after_restart_neither_publishes_again_nor_adds_dwell(days, stands):
    result = restarted(*[STANDS] * stands, after_s=days * 86_400)
    assert result.published() == [SEEN, LEFT]
    seen, left = result.events
    assert left.dwell_s == pytest.approx(seen.dwell_s + (20 if stands else 0), abs=5)
    assert stands or left.last_seen == seen.last_seen
