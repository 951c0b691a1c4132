import re
from dataclasses import replace
from datetime import timedelta

import pytest

from plateid.core.formats import Formats, shipped_formats
from plateid.pipeline.camera_pipeline import MAX_READS
from plateid.pipeline.stills import read_detections
from tests.pipeline.road import (
    RULES,
    START,
    Blinking,
    Drive,
    Eyes,
    Growing,
    Road,
    Vehicle,
    drive,
    frames,
    pipeline,
)


@pytest.mark.parametrize("rate", [5, 8, 10, 15, 25, 30])
def test_one_pass_is_seen_once_and_leaves_once_at_any_frame_rate(rate):
    assert drive(Vehicle("B68SPK", 0.5, 4), rate=rate).told() == [
        ("plate_seen", "B68SPK"),
        ("plate_left", "B68SPK"),
    ]


def test_an_empty_road_tells_nothing():
    assert drive().events == []


def test_two_vehicles_one_behind_the_other_are_two_passes():
    told = drive(Vehicle("AAA111", 0.2, 5), Vehicle("BBB222", 1.5, 5)).told()
    assert sorted(told) == sorted(
        [(kind, plate) for kind in ("plate_seen", "plate_left") for plate in ("AAA111", "BBB222")]
    )


def test_no_syntax_is_compiled_while_a_vehicle_passes(monkeypatch):
    formats = Formats(tuple(replace(entry) for entry in shipped_formats().entries))
    result = Drive()
    way = pipeline(result, formats=formats)
    monkeypatch.setattr(re, "compile", None)
    for frame in frames([Vehicle("B123ABC", 0, 4)], rate=15, until_s=8):
        way.process(frame)
    assert result.told()[0] == ("plate_seen", "B123ABC")


def test_seen_comes_as_soon_as_the_reading_is_sure():
    sure = drive(Vehicle("B68SPK", 0, 6, sure=0.99))
    assert 0.3 <= (sure.events[0].last_seen - START).total_seconds() < 0.4


def test_a_doubtful_reading_is_published_after_the_longest_wait():
    rules = RULES.model_copy(update={"sure_confidence": 1.1})
    doubtful = drive(Vehicle("B68SPK", 0, 6), rules=rules)
    assert 2.9 < (doubtful.events[0].last_seen - START).total_seconds() < 3.2


def test_what_was_never_sure_enough_is_never_published():
    assert drive(Vehicle("B68SPK", 0, 4, sure=0.03)).events == []


def test_who_leaves_without_being_told_is_counted():
    result = Drive()
    way = pipeline(result)
    seen = [Vehicle("B68SPK", 0, 4, sure=0.03), Vehicle("CJ12ABC", 1, 5, y=500, sure=0.99)]
    for frame in frames(seen, rate=10, until_s=9):
        way.process(frame)
    assert {plate for _, plate in result.told()} == {"CJ12ABC"}
    assert way.unpublished == 1


def test_a_single_glimpse_is_not_enough():
    assert drive(Vehicle("B68SPK", 1, 1.01), rate=10).events == []


def test_a_text_that_no_country_issues_needs_twice_the_time():
    sign = drive(Vehicle("9Q2", 0, 0.5, sure=0.99))
    vanity = drive(Vehicle("9Q2", 0, 0.9, sure=0.99))
    assert (len(sign.events), len(vanity.events)) == (0, 2)


def test_misreads_of_single_frames_are_outvoted():
    told = drive(Vehicle("B68SPK", 0, 4, misread=("B6BSPK", "B68SPK", "868SPK"))).told()
    assert told == [("plate_seen", "B68SPK"), ("plate_left", "B68SPK")]


@pytest.mark.parametrize(("strict", "told"), [(False, ["PARKING"] * 2), (True, [])])
def test_strict_syntax_publishes_nothing_that_it_does_not_allow(strict, told):
    romania = shipped_formats().expecting(["ro"], key="regions", strict=strict)
    sign = drive(Vehicle("PARKING", 0, 4), formats=romania)
    assert [event.plate for event in sign.events] == told


def test_an_event_has_the_plate_that_syntax_chose_and_what_was_read():
    romania = shipped_formats().expecting(["ro"], key="regions", strict=True)
    seen, left = drive(Vehicle("BO1SPK", 0, 4), formats=romania).events
    for event in (seen, left):
        assert (event.plate, event.plate_raw) == ("B01SPK", "BO1SPK")
        assert (event.plate_display, event.region.code) == ("B 01 SPK", "ro")
        assert event.reads == event.agreeing_reads


def test_what_was_published_stays_though_strict_syntax_refuses_the_later_reads():
    romania = shipped_formats().expecting(["ro"], key="regions", strict=True)
    first = Vehicle("B68SPK", 0, 0.5, speed=80, sure=0.99)
    then = Vehicle("MMMMMM", 0.51, 6, x=140, speed=10, sure=0.99)
    result = drive(first, then, formats=romania)
    assert result.told() == [("plate_seen", "B68SPK"), ("plate_left", "B68SPK")]
    assert [event.corrected for event in result.events] == [False, False]


def test_a_reading_that_changes_after_it_was_published_is_corrected_on_leaving():
    first = Vehicle("AB128", 0, 0.5, speed=80, y=300, sure=0.99)
    then = Vehicle("AB123", 0.51, 6, x=140, speed=10, y=301, sure=0.99)
    result = drive(first, then)
    assert result.told() == [("plate_seen", "AB128"), ("plate_left", "AB123")]
    assert [event.corrected for event in result.events] == [False, True]


@pytest.mark.parametrize("hidden_s", [0.3, 0.8])
def test_a_short_occlusion_does_not_split_a_pass(hidden_s):
    assert len(drive(Vehicle("B68SPK", 0, 4, hidden=(1.5, 1.5 + hidden_s))).events) == 2


def test_a_track_that_jumps_is_rejoined_by_its_text():
    before = Vehicle("B68SPK", 0, 2, x=100)
    after = Vehicle("B68SPK", 2.3, 5, x=900, y=600, speed=50)
    result = drive(before, after)
    assert result.told() == [("plate_seen", "B68SPK"), ("plate_left", "B68SPK")]
    assert result.events[-1].dwell_s == pytest.approx(5, abs=0.2)


def test_a_convoy_of_plates_that_differ_in_one_character_is_two_passes():
    first = Vehicle("B68SPK", 0, 2, x=100)
    second = Vehicle("B69SPK", 2.3, 5, x=900, y=600, speed=50)
    assert sorted(drive(first, second).told()) == [
        *(("plate_left", plate) for plate in ("B68SPK", "B69SPK")),
        *(("plate_seen", plate) for plate in ("B68SPK", "B69SPK")),
    ]


def test_a_plate_that_no_single_frame_reads_right_is_read_right_together():
    wrong = ("A81234C", "AB1Z34C", "AB12B4C", "AB123AC", "AB1234G")
    told = drive(Vehicle("4B1234C", 0, 3, misread=wrong), rate=5).told()
    assert told == [("plate_seen", "AB1234C"), ("plate_left", "AB1234C")]


def test_a_clock_that_is_set_back_ends_the_passes_and_nothing_lasts_less_than_no_time():
    result = Drive()
    way = pipeline(result)
    for frame in frames([Vehicle("B68SPK", 0, 4)], rate=10, until_s=4):
        late = frame.captured_at if frame.sequence < 20 else frame.captured_at - timedelta(hours=1)
        way.process(replace(frame, captured_at=late))
    way.finish()
    assert [event.event_type for event in result.events] == 2 * ["plate_seen", "plate_left"]
    assert all(0 <= event.dwell_s < 3 for event in result.events)


def test_a_clock_that_is_set_forward_adds_nothing_to_a_pass():
    result = Drive()
    way = pipeline(result)
    for frame in frames([Vehicle("B68SPK", 0, 4)], rate=10, until_s=4):
        late = frame.captured_at if frame.sequence < 20 else frame.captured_at + timedelta(hours=1)
        way.process(replace(frame, captured_at=late))
    way.finish()
    assert [event.event_type for event in result.events] == 2 * ["plate_seen", "plate_left"]
    assert all(0 <= event.dwell_s < 3 for event in result.events)


def test_a_pass_that_began_before_the_clock_was_set_is_told_as_by_an_unset_one():
    synced = iter([False])
    result = Drive(clock_synced=lambda: next(synced, True))
    way = pipeline(result)
    for frame in frames([Vehicle("B68SPK", 0, 4), Vehicle("CJ12ABC", 2, 6)], rate=10, until_s=8):
        way.process(frame)
    way.finish()
    told = [(event.plate, event.clock_synced) for event in result.events]
    assert sorted(told) == 2 * [("B68SPK", False)] + 2 * [("CJ12ABC", True)]


def test_the_same_vehicle_much_later_is_a_new_pass():
    result = drive(Vehicle("B68SPK", 0, 2), Vehicle("B68SPK", 5, 7), until_s=10)
    assert len(result.events) == 4
    assert len({event.pass_id for event in result.events}) == 2


@pytest.mark.parametrize(("rate", "a_second"), [(5, 5), (8, 4), (10, 5), (12, 4), (15, 5), (30, 5)])
def test_while_all_is_told_frames_in_quick_succession_are_not_wanted(rate, a_second):
    vehicle = Vehicle("B68SPK", 0, 9.9)
    first, all_ = (drive(vehicle, rate=rate, until_s=s, busy=True).eyes.looks for s in (2, 6))
    assert all_ - first == pytest.approx(4 * a_second, abs=1)


def test_a_vehicle_that_stays_doubtful_is_worth_each_frame_only_at_first():
    doubtful = Vehicle("B68SPK", 0, 30, speed=60, misread=("B68SPX",))
    first, all_ = (drive(doubtful, until_s=s, busy=True).eyes.looks for s in (10, 14))
    assert all_ - first == pytest.approx(4 * 5, abs=1)


def test_as_long_as_a_vehicle_may_be_read_better_each_frame_is_wanted():
    vehicle = Vehicle("B68SPK", 0, 4, sure=0.03)
    result = drive(vehicle, until_s=RULES.max_wait_s, busy=True)
    assert result.eyes.looks == 15 * RULES.max_wait_s


@pytest.mark.parametrize("rate", [5, 8, 10, 15, 25, 30])
def test_what_is_wanted_is_enough_to_tell_every_vehicle(rate):
    vehicles = Vehicle("B68SPK", 0, 4), Vehicle("B69SPK", 3, 6, y=500)
    told = drive(*vehicles, rate=rate, busy=True)
    assert sorted(told.told()) == sorted(drive(*vehicles, rate=rate).told())
    seen = [event for event in told.events if event.plate == "B69SPK"]
    assert (seen[0].first_seen - START).total_seconds() == pytest.approx(3, abs=0.21)


def test_after_the_clock_is_set_back_a_frame_is_wanted():
    way = pipeline(Drive())
    first, second = frames([], rate=30, until_s=1 / 30)
    assert way.process_if_useful(second) is not None
    soon = replace(second, captured_at=second.captured_at + timedelta(seconds=0.01))
    assert way.process_if_useful(soon) is None
    assert way.skipped == 1
    assert way.process_if_useful(first) is not None


@pytest.mark.parametrize("hidden_s", [3.2, 3.4, 3.6])
def test_who_leaves_a_busy_scene_unseen_for_a_frame_has_left(hidden_s):
    """At 5 frames a second one in three is compared, those of 3.4 s and 4 s among them."""
    comes = Vehicle("B68SPK", 0, 3.8, hidden=(hidden_s, hidden_s + 0.1))
    left = drive(comes, rate=5, until_s=40).events[-1]
    assert (left.event_type, left.dwell_s, left.parked) == ("plate_left", 3.8, False)


@pytest.mark.parametrize("missed", [{24}, {25, 26}, {27, 28, 29, 30}])
def test_a_look_that_misses_the_plate_of_who_waits_does_not_split_the_pass(missed):
    comes = Vehicle("B68SPK", 0, 2.01, x=200)
    waits = Vehicle("B68SPK", 2.01, 40, x=500, speed=0)
    eyes = Blinking(missed)
    told = drive(comes, waits, eyes=eyes, rate=10, until_s=45)
    assert told.told() == [("plate_seen", "B68SPK"), ("plate_left", "B68SPK")]
    assert eyes.looks > max(missed)
    assert (told.events[1].last_seen - START).total_seconds() == pytest.approx(40, abs=0.2)


def test_one_look_that_misses_who_has_just_come_to_a_stop_does_not_split_the_pass():
    comes = Vehicle("B68SPK", 0, 1.21, x=200)
    waits = Vehicle("B68SPK", 1.21, 40, x=395, speed=0)
    told = drive(comes, waits, eyes=Blinking({14}), rate=10, until_s=45)
    assert told.told() == [("plate_seen", "B68SPK"), ("plate_left", "B68SPK")]


def test_a_camera_that_stalls_for_seconds_does_not_split_the_pass():
    result = Drive()
    way = pipeline(result)
    for frame in frames([Vehicle("B68SPK", 0, 20, speed=0)], rate=10, until_s=25):
        if not 3 < frame.media_time_s < 6:
            way.process(frame)
    assert result.told() == [("plate_seen", "B68SPK"), ("plate_left", "B68SPK")]


def test_a_parked_vehicle_in_a_still_scene_stays_one_pass_and_costs_little():
    result = drive(Vehicle("B68SPK", 0, 60, speed=0), rate=10, until_s=70)
    assert [event.event_type for event in result.events] == ["plate_seen", "plate_left"]
    assert result.events[-1].dwell_s == pytest.approx(60, abs=0.3)
    assert result.eyes.looks < 70


def test_what_is_read_surely_is_read_now_and_then_only():
    result = drive(Vehicle("B68SPK", 0, 6, sure=0.99))
    assert 12 <= result.eyes.read_boxes <= 24
    assert result.eyes.looks > 80


def test_a_doubtful_plate_is_read_in_each_frame_also_after_it_was_told():
    rules = RULES.model_copy(update={"sure_confidence": 1.0, "max_wait_s": 0.5})
    misread = ("B68SPX", "868SPK", "B6BSPK", "B68SPK")
    result = drive(Vehicle("B68SPK", 0, 3, sure=0.6, misread=misread), rules=rules)
    assert result.told()[0][0] == "plate_seen"
    assert result.eyes.read_boxes >= 40


def test_a_plate_that_comes_nearer_is_read_again_at_once():
    result, eyes = Drive(), Growing()
    way = pipeline(replace(result, eyes=eyes))
    for frame in frames([Vehicle("B68SPK", 0, 4, sure=0.99)], rate=15, until_s=4):
        way.process(frame)
    still = drive(Vehicle("B68SPK", 0, 4, sure=0.99), until_s=4)
    assert eyes.read_boxes > still.eyes.read_boxes + 5


def test_a_car_park_is_read_a_few_plates_at_a_time_and_all_of_it():
    park = [
        Vehicle(f"AB{n:02}CDE", 0, 3, x=20 + 70 * n, y=20 + 60 * n, speed=40) for n in range(10)
    ]
    result = drive(*park)
    assert {plate for _, plate in result.told()} == {vehicle.text for vehicle in park}
    assert result.eyes.most_at_once == MAX_READS


def test_a_plate_that_is_cut_by_the_border_is_not_read():
    assert drive(Vehicle("B68SPK", 0, 3, x=-20, speed=0)).eyes.read_boxes == 0


def test_finish_ends_a_pass_that_is_still_there():
    assert drive(Vehicle("B68SPK", 0, 60), until_s=2).told()[-1] == ("plate_left", "B68SPK")


def test_events_carry_the_pass_and_count_upwards():
    seen, left = drive(Vehicle("B68SPK", 0.5, 4)).events
    assert seen.pass_id == left.pass_id
    assert seen.id != left.id
    assert (seen.seq, left.seq) == (1, 2)
    assert left.first_seen == seen.first_seen == START + timedelta(seconds=8 / 15)
    assert 2 < len(left.path) <= 64
    assert left.path[0].t == 0
    assert left.reads >= left.agreeing_reads > 5


def test_an_event_comes_with_the_shot_of_its_box_and_all_plates_that_are_in_it():
    result = drive(Vehicle("AAA111", 0.2, 5), Vehicle("BBB222", 0.2, 5, y=600))
    for event, frame in zip(result.events, result.frames, strict=True):
        assert frame is not None
        assert frame.box == event.box
        assert {box for box, _, _ in frame.image.plates} == set(frame.plates)
        assert len(frame.plates) == 2
    assert result.frames[0] is not result.frames[2]


def test_still_pictures_are_read_one_by_one_best_first():
    boxes = [
        ((100.0, 100.0, 200.0, 125.0), "BAD123", 0.5),
        ((300.0, 100.0, 400.0, 125.0), "GOOD12", 0.99),
    ]
    eyes, road = Eyes(), Road(boxes)
    plates = read_detections(road, eyes.detect(road), eyes)
    assert [plate.text for plate in plates] == ["GOOD12", "BAD123"]
    assert read_detections(Road([]), [], eyes) == []
