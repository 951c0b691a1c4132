"""What one camera's rules make of its picture: places, directions, parked vehicles, overlays."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from plateid.core.records import Box, Direction, Frame
from plateid.core.view import View
from plateid.pipeline.camera_pipeline import CameraPipeline
from plateid.pipeline.passes import Pass
from tests.pipeline.road import RULES, START, Drive, Road, Vehicle, frames, pipeline

PARKING = RULES.model_copy(update={"parked_s": 10.0, "parked_lost_s": 20.0})
CLOCK_BOX: Box = (900.0, 30.0, 1050.0, 55.0)
LEFT_HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
LANE = ((0.3, 0.3), (0.6, 0.3), (0.6, 0.6), (0.3, 0.6))
"""Zoomed, the detector sees what lies from x = 256 to 896, in a picture of 1280."""
SEEN, LEFT = ("plate_seen", "B68SPK"), ("plate_left", "B68SPK")
UPRIGHT_LINE = ((0.3, 1.0), (0.3, 0.0))
"""Seen upwards: what comes from the picture's left goes in."""


def seen_by(
    *vehicles: Vehicle, view: View | None = None, until_s: float = 8, rules=RULES, rate: float = 10
) -> Drive:
    result = Drive()
    way = pipeline(result, rules, view)
    show(way, frames(list(vehicles), rate=rate, until_s=until_s))
    way.finish()
    return result


def show(way: CameraPipeline, shown: list[Frame], *, after_s: float = 0) -> None:
    for frame in shown:
        way.process(replace(frame, captured_at=frame.captured_at + timedelta(seconds=after_s)))


def clock_frames(texts: list[str], *, rate: float, until_s: float) -> list[Frame]:
    """A picture in which each text stands for a second, and a vehicle passes below."""
    result = []
    for number in range(int(until_s * rate) + 1):
        t = number / rate
        plates = [(CLOCK_BOX, texts[int(t) % len(texts)], 0.99)]
        car = Vehicle("B68SPK", 5, 9)
        if car.visible(t):
            plates.append((car.box(t), car.text, car.sure))
        result.append(Frame("gate", number, START + timedelta(seconds=t), t, Road(plates)))
    return result


@pytest.mark.parametrize(
    ("view", "told"),
    [
        (View(), 2),
        (View(roi=LEFT_HALF), 2),
        (View(masks=(((0, 0), (1, 0), (1, 1), (0, 1)),)), 0),
        (View(roi=((0.5, 0.5), (1, 0.5), (1, 1), (0.5, 1))), 0),
        (View(min_plate_height=25), 2),
        (View(min_plate_height=25.1), 0),
    ],
)
def test_plates_outside_of_a_cameras_view_do_not_exist(view, told):
    assert len(seen_by(Vehicle("B68SPK", 0.5, 3), view=view).events) == told


def test_a_small_roi_is_all_that_the_detector_is_shown():
    road, elsewhere = Vehicle("B68SPK", 0.5, 8), Vehicle("CJ07RTA", 1, 8, x=1100, speed=0)
    whole, zoomed = (seen_by(road, elsewhere, view=View(roi=LANE, zoom=z)) for z in (False, True))
    assert whole.told() == zoomed.told()
    assert [f and f.box for f in zoomed.frames] == [f and f.box for f in whole.frames]
    assert {len(frame.plates) for frame in zoomed.frames if frame} == {1}
    assert {len(frame.plates) for frame in whole.frames if frame} == {2}


def test_a_plate_that_the_border_of_the_part_cuts_off_is_not_read():
    class Near(Vehicle):
        def box(self, t: float) -> Box:
            x1, y1, *_ = super().box(t)
            return x1, y1, x1 + 400, y1 + 100

    near = Near("B68SPK", 0.5, 3, x=200, speed=0)
    whole, zoomed = (seen_by(near, view=View(roi=LANE, zoom=z)).eyes for z in (False, True))
    assert whole.looks == zoomed.looks > 0
    assert (whole.read_boxes > 0, zoomed.read_boxes) == (True, 0)


def test_a_vehicle_behind_a_mask_is_one_pass():
    mask = ((0.25, 0.3), (0.3, 0.3), (0.3, 0.5), (0.25, 0.5))
    assert len(seen_by(Vehicle("B68SPK", 0.5, 5), view=View(masks=(mask,))).events) == 2


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
def test_a_pass_ends_with_the_way_that_it_took(vehicle, view, direction):
    assert seen_by(vehicle, view=view).events[-1].direction == direction


def test_a_vehicle_that_turns_round_goes_the_way_that_it_took_last():
    there = Vehicle("B68SPK", 0, 3, x=200)
    back = Vehicle("B68SPK", 3.01, 6, x=650, speed=-150)
    left = seen_by(there, back, view=View(line=UPRIGHT_LINE)).events[-1]
    assert left.direction is not None
    assert left.direction.way == "out"


def test_a_parked_vehicle_is_told_once_though_it_is_hidden_for_long():
    hidden = seen_by(
        Vehicle("B68SPK", 0, 70, speed=0, hidden=(30, 45)), rules=PARKING, until_s=80, rate=5
    )
    assert hidden.told() == [("plate_seen", "B68SPK"), ("plate_left", "B68SPK")]
    assert [event.parked for event in hidden.events] == [False, True]
    assert hidden.events[-1].dwell_s == pytest.approx(70, abs=0.3)


def test_a_parked_vehicle_that_comes_back_misread_is_still_the_same():
    before = Vehicle("B68SPK", 0, 30, speed=0)
    after = Vehicle("B68SFK", 40, 70, speed=0)
    assert len(seen_by(before, after, rules=PARKING, until_s=75, rate=5).events) == 2


def test_another_vehicle_on_the_same_spot_is_another_pass():
    before = Vehicle("B68SPK", 0, 30, speed=0)
    after = Vehicle("CJ12ABC", 40, 70, speed=0)
    told = seen_by(before, after, rules=PARKING, until_s=100, rate=5).told()
    assert told == [
        ("plate_seen", "B68SPK"),
        ("plate_seen", "CJ12ABC"),
        ("plate_left", "B68SPK"),
        ("plate_left", "CJ12ABC"),
    ]


def test_a_parked_vehicle_that_is_gone_has_left_when_it_was_last_seen():
    gone = seen_by(Vehicle("B68SPK", 0, 30, speed=0), rules=PARKING, until_s=60, rate=5)
    assert gone.events[-1].last_seen == START + timedelta(seconds=30)


def test_a_vehicle_that_was_parked_and_drives_off_leaves_at_once():
    stands = Vehicle("B68SPK", 0, 30, speed=0)
    goes = Vehicle("B68SPK", 30.01, 33, speed=150)
    result = Drive()
    show(pipeline(result, PARKING), frames([stands, goes], rate=10, until_s=36))
    assert result.told() == [("plate_seen", "B68SPK"), ("plate_left", "B68SPK")]
    assert result.events[-1].parked


@pytest.mark.parametrize("away_s", [5, 3600])
def test_a_parked_vehicle_outlives_an_outage_of_the_camera(away_s):
    result = Drive()
    way = pipeline(result, PARKING)
    stands = frames([Vehicle("B68SPK", 0, 20, speed=0)], rate=5, until_s=20)
    show(way, stands)
    way.interrupt()
    show(way, stands, after_s=20 + away_s)
    way.finish()
    assert result.told() == [("plate_seen", "B68SPK"), ("plate_left", "B68SPK")]
    assert result.events[-1].dwell_s == pytest.approx(40 + away_s)


@pytest.mark.parametrize("stays", [True, False])
def test_a_vehicle_that_stands_before_the_gate_outlives_an_outage_and_is_not_waited_for(stays):
    result = Drive()
    way = pipeline(result, PARKING)
    waits = frames([Vehicle("B68SPK", 0, 8, speed=0)], rate=5, until_s=8)
    show(way, waits)
    for minute in (1, 2, 3):
        way.interrupt()
        show(way, waits if stays else frames([], rate=5, until_s=11), after_s=60 * minute)
        assert result.told() == ([SEEN] if stays else [SEEN, LEFT])
    way.finish()
    assert result.told() == [SEEN, LEFT]


def test_pictures_of_another_size_begin_anew():
    result = Drive()
    way = pipeline(result, PARKING, View(line=UPRIGHT_LINE))
    stands = frames([Vehicle("B68SPK", 0, 20, x=500, speed=0)], rate=5, until_s=20)
    show(way, stands)
    way.interrupt()
    for frame in stands:
        frame.image.width = 2 * frame.image.width
    show(way, stands, after_s=30)
    way.finish()
    assert result.told() == [SEEN, LEFT, SEEN, LEFT]
    assert [event.direction for event in result.events] == [None] * 4


def test_a_vehicle_that_left_is_told_although_the_camera_breaks_off_again_and_again():
    result = Drive()
    way = pipeline(result, PARKING)
    show(way, frames([Vehicle("B68SPK", 0, 20, speed=0)], rate=5, until_s=20))
    for minute in range(1, 9):
        way.interrupt()
        show(way, frames([], rate=5, until_s=40), after_s=60 * minute)
    assert result.told() == [("plate_seen", "B68SPK"), ("plate_left", "B68SPK")]


def test_a_parked_vehicle_is_handed_on_and_a_moving_one_has_left():
    result = Drive()
    old, new = pipeline(result, PARKING), pipeline(result, PARKING)
    stands = Vehicle("B68SPK", 0, 40, speed=0)
    shown = frames([stands, Vehicle("CJ12ABC", 14, 17, y=500)], rate=5, until_s=30)
    show(old, shown[:80])
    new.resume(old.hand_over())
    assert result.told()[1:] == [("plate_seen", "CJ12ABC"), ("plate_left", "CJ12ABC")]
    show(new, shown[90:])
    new.finish()
    assert result.told()[3:] == [("plate_left", "B68SPK")]
    assert result.events[-1].pass_id == result.events[0].pass_id
    assert result.events[-1].dwell_s == pytest.approx(30)


STANDS = Vehicle("B68SPK", 0, 20, x=500, speed=0)


def after_a_restart(
    *vehicles: Vehicle, stopped: bool = False, after_s: float = 60, until_s: float = 22
) -> Drive:
    """B68SPK came and stood still; then the process was killed, or told to stop."""
    before = Drive()
    way = pipeline(before, PARKING)
    came = [Vehicle("B68SPK", 0, 2.01, x=200), replace(STANDS, from_s=2.01)]
    show(way, frames(came, rate=10, until_s=5))
    if stopped:
        way.finish()
    way = pipeline(before, PARKING)
    way.resume([Pass.restored(before.events[-1])])
    show(way, frames(list(vehicles), rate=10, until_s=until_s), after_s=after_s)
    way.finish()
    return before


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize(
    "stands", [STANDS, replace(STANDS, hidden=(3.9, 4.2)), replace(STANDS, hidden=(2, 4))]
)
def test_a_vehicle_that_still_stands_after_a_restart_is_not_told_again(stands, stopped):
    result = after_a_restart(stands, stopped=stopped)
    assert result.told() == [SEEN, LEFT]
    seen, left = result.events
    assert (left.pass_id, left.first_seen) == (seen.pass_id, seen.first_seen)
    assert left.dwell_s == pytest.approx(5 if stopped else 80, abs=0.3)


def test_without_a_picture_after_a_restart_the_way_is_what_was_told():
    before = Drive()
    way = pipeline(before, PARKING, View(line=UPRIGHT_LINE))
    show(way, frames([Vehicle("B68SPK", 0, 5)], rate=10, until_s=5))
    way.finish()
    assert before.events[-1].direction.way == "in"
    way = pipeline(before, PARKING, View(line=UPRIGHT_LINE))
    way.resume([Pass.restored(replace(before.events[-1], event_type="plate_seen"))])
    way.finish()
    assert before.events[-1].direction == before.events[-2].direction


def test_at_each_stop_those_are_given_that_may_still_be_there():
    result = after_a_restart(STANDS, stopped=True, until_s=8)
    way = pipeline(result, PARKING)
    way.resume([Pass.restored(result.events[-1])])
    show(way, frames([STANDS], rate=10, until_s=8), after_s=120)
    assert way.finish() == [result.events[0].pass_id]
    assert way.finish() == []
    way = pipeline(result, PARKING)
    way.resume([Pass.restored(result.events[-1])])
    assert way.finish() == [result.events[0].pass_id], "it may still be there"
    assert result.told() == [SEEN, LEFT]


@pytest.mark.parametrize("forward_from_s", [2, 6, 99])
def test_a_vehicle_that_was_parked_before_a_restart_may_be_hidden_right_after_it(forward_from_s):
    """And a clock without a battery is set by the network after a while."""
    before = Drive()
    show(pipeline(before, PARKING), frames([STANDS], rate=10, until_s=14))
    way = pipeline(before, PARKING)
    way.resume([Pass.restored(before.events[-1])])
    for frame in frames([replace(STANDS, hidden=(7, 12))], rate=10, until_s=18):
        late = frame.sequence / 10 >= forward_from_s
        at = frame.captured_at + timedelta(seconds=60, hours=1 if late else 0)
        way.process(replace(frame, captured_at=at))
    way.finish()
    assert before.told() == [SEEN, LEFT]


@pytest.mark.parametrize("back", [timedelta(seconds=0.6), timedelta(seconds=13)])
def test_a_parked_vehicle_outlives_a_clock_that_is_set_back_a_little(back):
    result = Drive()
    way = pipeline(result, PARKING)
    for frame in frames([STANDS], rate=10, until_s=20):
        late = back if frame.sequence >= 140 else timedelta()
        way.process(replace(frame, captured_at=frame.captured_at - late))
    way.finish()
    assert result.told() == [SEEN, LEFT]
    assert result.events[-1].dwell_s == pytest.approx(20 - back.total_seconds())


@pytest.mark.parametrize("away", [False, True])
def test_a_parked_vehicle_that_came_later_than_it_is_now_has_left(away):
    result = Drive()
    way = pipeline(result, PARKING)
    stands = frames([STANDS], rate=10, until_s=14)
    show(way, stands)
    if away:
        way.interrupt()
    show(way, stands, after_s=-3600)
    way.finish()
    assert result.told() == [SEEN, LEFT, SEEN, LEFT]
    assert all(event.dwell_s >= 0 for event in result.events)


def test_who_drives_off_after_a_restart_goes_on_where_it_was_and_is_read_as_before():
    goes = Vehicle("B68SPX", 20.01, 23, x=500)
    left = after_a_restart(STANDS, goes, until_s=26).events[-1]
    assert (left.plate, left.corrected, left.reads > 20) == ("B68SPK", False, True)
    assert all(a.t < b.t for a, b in pairwise(left.path))
    assert left.path[0].box[0] == 200


@pytest.mark.parametrize("comes", [Vehicle("B68SPK", 5, 8), replace(STANDS, from_s=12)])
def test_a_vehicle_that_comes_back_after_a_restart_is_another_pass(comes):
    result = after_a_restart(comes, until_s=30)
    assert sorted(result.told()) == [LEFT, LEFT, SEEN, SEEN]
    assert len({event.pass_id for event in result.events}) == 2


@pytest.mark.parametrize("plate", ["", "0123456789ABCDEF0123456789ABCDEF"])
def test_a_pass_whose_plate_was_not_kept_ends_after_a_restart(plate):
    before = Drive()
    show(pipeline(before, PARKING), frames([STANDS], rate=10, until_s=5))
    (seen,) = before.events
    way = pipeline(before, PARKING)
    way.resume([Pass.restored(replace(seen, plate=plate, char_confidences=(), candidates=()))])
    show(way, frames([STANDS], rate=10, until_s=14), after_s=60)
    ended = next(event for event in before.events if event.event_type == "plate_left")
    assert (ended.pass_id, ended.plate) == (seen.pass_id, plate)


def test_a_vehicle_that_is_gone_after_a_restart_left_when_it_was_last_told():
    seen, left = after_a_restart(until_s=11).events
    assert (left.event_type, left.plate, left.pass_id) == (*LEFT, seen.pass_id)
    assert left.last_seen == seen.last_seen


def test_a_clock_that_is_behind_after_a_restart_makes_another_pass_and_no_negative_time():
    result = after_a_restart(STANDS, after_s=-3600)
    assert len({event.pass_id for event in result.events}) == 2
    assert all(event.dwell_s >= 0 for event in result.events)


def test_a_moving_vehicle_ends_with_an_outage_of_the_camera():
    result = Drive()
    way = pipeline(result, PARKING)
    show(way, frames([Vehicle("B68SPK", 0, 3)], rate=10, until_s=2))
    way.interrupt()
    assert result.told() == [("plate_seen", "B68SPK"), ("plate_left", "B68SPK")]


@pytest.mark.parametrize("rate", [3, 10, 15])
@pytest.mark.parametrize("start", [0, 0.3, 0.7])
def test_a_clock_in_the_picture_is_no_plate_and_the_vehicle_below_it_is(rate, start, logs):
    texts = [f"1200{second:02}" for second in range(60)]
    result = Drive()
    way = pipeline(result)
    shift = int(start * rate)
    show(way, clock_frames(texts, rate=rate, until_s=12)[shift:])
    way.finish()
    assert result.told() == [("plate_seen", "B68SPK"), ("plate_left", "B68SPK")]
    (found,) = [entry for entry in logs if entry["event"] == "clock overlay detected"]
    assert found["box"] == (0.703, 0.042, 0.82, 0.076)


def test_a_glimpse_of_a_clock_that_is_known_is_no_plate_either():
    texts = [f"1200{second:02}" for second in range(60)]
    shown = clock_frames(texts, rate=10, until_s=10)
    result = Drive()
    way = pipeline(result)
    show(way, shown)
    show(way, frames([], rate=10, until_s=3), after_s=11)
    show(way, clock_frames(["120100"], rate=10, until_s=2), after_s=15)
    way.finish()
    assert {event.plate for event in result.events} == {"B68SPK"}


def test_a_vehicle_that_stands_and_is_misread_half_of_the_time_is_no_clock():
    misread = ("868SPK", "B68SPX", "B6BSPK", "B68SPK", "B68SPK", "B68SPK")
    told = seen_by(Vehicle("B68SPK", 0, 20, speed=0, misread=misread), until_s=24).told()
    assert told == [("plate_seen", "B68SPK"), ("plate_left", "B68SPK")]
