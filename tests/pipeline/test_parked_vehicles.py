"""Stationary vehicles that are occluded, or whose camera goes offline."""

from datetime import timedelta

import pytest

from plateid.core.view import View
from plateid.pipeline.event_builder import PipelineSettings
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
    record,
)


def test_occluded_parked_vehicle_is_one_pass():
    hidden = record(
        Vehicle("B68SPK", 0, 70, speed=0, hidden=(30, 45)), rules=PARKED_RULES, until_s=80, rate=5
    )
    assert hidden.published() == [SEEN, LEFT]
    assert [event.parked for event in hidden.events] == [False, True]
    assert hidden.events[-1].dwell_s == pytest.approx(70, abs=0.3)


def test_parked_vehicle_misread_after_occlusion_is_one_pass():
    before = Vehicle("B68SPK", 0, 30, speed=0)
    after = Vehicle("B68SFK", 40, 70, speed=0)
    assert len(record(before, after, rules=PARKED_RULES, until_s=75, rate=5).events) == 2


def test_other_vehicle_in_the_same_place_is_another_pass():
    before = Vehicle("B68SPK", 0, 30, speed=0)
    after = Vehicle("CJ12ABC", 40, 70, speed=0)
    published = record(before, after, rules=PARKED_RULES, until_s=100, rate=5).published()
    assert published == [
        ("plate_seen", "B68SPK"),
        ("plate_seen", "CJ12ABC"),
        ("plate_left", "B68SPK"),
        ("plate_left", "CJ12ABC"),
    ]


def test_lost_parked_vehicle_left_when_it_was_last_detected():
    gone = record(Vehicle("B68SPK", 0, 30, speed=0), rules=PARKED_RULES, until_s=60, rate=5)
    assert gone.events[-1].last_seen == START + timedelta(seconds=30)


def test_parked_vehicle_that_drives_off_leaves_at_once():
    stands = Vehicle("B68SPK", 0, 30, speed=0)
    goes = Vehicle("B68SPK", 30.01, 33, speed=150)
    result = Recording()
    process(pipeline(result, PARKED_RULES), frames([stands, goes], rate=10, until_s=36))
    assert result.published() == [SEEN, LEFT]
    assert result.events[-1].parked


@pytest.mark.parametrize("away_s", [5, 3600])
def test_parked_vehicle_keeps_its_pass_across_camera_outage(away_s):
    result = Recording()
    camera = pipeline(result, PARKED_RULES)
    stands = frames([Vehicle("B68SPK", 0, 20, speed=0)], rate=5, until_s=20)
    process(camera, stands)
    camera.interrupt()
    process(camera, stands, after_s=20 + away_s)
    camera.finish()
    assert result.published() == [SEEN, LEFT]
    assert result.events[-1].dwell_s == pytest.approx(40 + away_s)


@pytest.mark.parametrize("stays", [True, False])
def test_waiting_vehicle_keeps_its_pass_across_camera_outage_if_it_stays(stays):
    result = Recording()
    camera = pipeline(result, PARKED_RULES)
    waits = frames([Vehicle("B68SPK", 0, 8, speed=0)], rate=5, until_s=8)
    process(camera, waits)
    for minute in (1, 2, 3):
        camera.interrupt()
        process(camera, waits if stays else frames([], rate=5, until_s=11), after_s=60 * minute)
        assert result.published() == ([SEEN] if stays else [SEEN, LEFT])
    camera.finish()
    assert result.published() == [SEEN, LEFT]


def test_frames_of_another_size_start_new_passes():
    result = Recording()
    camera = pipeline(result, PARKED_RULES, View(line=UPRIGHT_LINE))
    stands = frames([Vehicle("B68SPK", 0, 20, x=500, speed=0)], rate=5, until_s=20)
    process(camera, stands)
    camera.interrupt()
    for frame in stands:
        frame.image.width = 2 * frame.image.width
    process(camera, stands, after_s=30)
    camera.finish()
    assert result.published() == [SEEN, LEFT, SEEN, LEFT]
    assert [event.direction for event in result.events] == [None] * 4


def test_plate_left_is_published_despite_repeated_outages():
    result = Recording()
    camera = pipeline(result, PARKED_RULES)
    process(camera, frames([Vehicle("B68SPK", 0, 20, speed=0)], rate=5, until_s=20))
    for minute in range(1, 9):
        camera.interrupt()
        process(camera, frames([], rate=5, until_s=40), after_s=60 * minute)
    assert result.published() == [SEEN, LEFT]


def test_parked_vehicle_keeps_its_pass_at_new_settings_and_moving_one_leaves():
    result = Recording()
    camera = pipeline(result, PARKED_RULES)
    stands = Vehicle("B68SPK", 0, 40, speed=0)
    shown = frames([stands, Vehicle("CJ12ABC", 14, 17, y=500)], rate=5, until_s=30)
    process(camera, shown[:80])
    camera.apply(PipelineSettings("gate", PARKED_RULES), same_source=True)
    assert result.published()[1:] == [("plate_seen", "CJ12ABC"), ("plate_left", "CJ12ABC")]
    process(camera, shown[90:])
    camera.finish()
    assert result.published()[3:] == [("plate_left", "B68SPK")]
    assert result.events[-1].pass_id == result.events[0].pass_id
    assert result.events[-1].dwell_s == pytest.approx(30)


def test_moving_vehicle_leaves_when_camera_goes_offline():
    result = Recording()
    camera = pipeline(result, PARKED_RULES)
    process(camera, frames([Vehicle("B68SPK", 0, 3)], rate=10, until_s=2))
    camera.interrupt()
    assert result.published() == [SEEN, LEFT]
