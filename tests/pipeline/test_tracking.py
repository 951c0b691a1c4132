from datetime import UTC, datetime, timedelta

import pytest

from plateid.core.records import Box, Detection
from plateid.pipeline.tracking import Tracker

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def plate(x: float, y: float = 300, width: float = 100, score: float = 0.9) -> Detection:
    return Detection((x, y, x + width, y + width / 4), score)


def ids(tracker: Tracker, detections: list[Detection], seconds: float) -> list[int]:
    return [track.id for track in tracker.update(detections, at(seconds))]


def test_no_detections_give_no_tracks():
    assert Tracker().update([], at(0)) == []


@pytest.mark.parametrize("rate", [5, 10, 15, 30])
@pytest.mark.parametrize("speed", [0, 150, 400])
def test_a_plate_keeps_its_number_at_any_frame_rate(rate, speed):
    tracker = Tracker()
    for step in range(3 * rate):
        assert ids(tracker, [plate(50 + speed * step / rate)], step / rate) == [1]


@pytest.mark.parametrize("rate", [5, 15, 30])
def test_an_approaching_plate_that_grows_fourfold_keeps_its_number(rate):
    tracker = Tracker()
    for step in range(4 * rate):
        size = 40 * 4 ** (step / (4 * rate))
        assert ids(tracker, [plate(600 - 3 * size, 100 + 3 * size, size)], step / rate) == [1]


def test_two_plates_side_by_side_never_swap():
    tracker = Tracker()
    for step in range(30):
        x = 50 + 12 * step
        assert sorted(ids(tracker, [plate(x), plate(x + 250)], step / 15)) == [1, 2]
        first, second = tracker.update([plate(x + 6), plate(x + 256)], at(step / 15 + 0.03))
        assert {first.id: first, second.id: second}[1].detection.box[0] == x + 6


def test_of_two_boxes_of_one_plate_the_nearer_prolongs_its_track():
    tracker = Tracker()
    for step in range(6):
        tracker.update([plate(500, 200 + step, 40)], at(step / 30))
    nearer, other = (Detection(box, 0.3) for box in ((501, 208, 537, 216), (500, 201, 540, 211)))
    (track,) = tracker.update([other, nearer], at(6 / 30))
    assert track.detection == nearer


def test_a_gap_shorter_than_lost_s_is_bridged_and_a_longer_one_is_not():
    tracker = Tracker(lost_s=1.0)
    ids(tracker, [plate(100)], 0)
    assert ids(tracker, [], 0.5) == []
    assert ids(tracker, [plate(104)], 0.9) == [1]
    assert ids(tracker, [], 2.4) == []
    assert ids(tracker, [plate(104)], 2.5) == [2]


@pytest.mark.parametrize(("gap_s", "id_"), [(1.5, 1), (4.9, 1), (5.2, 2)])
def test_when_no_frame_came_nobody_has_left(gap_s, id_):
    tracker = Tracker(lost_s=1.0)
    ids(tracker, [plate(100)], 0)
    assert ids(tracker, [plate(104)], gap_s) == [id_]


def test_what_one_frame_misses_is_missed_until_it_is_lost():
    tracker = Tracker(lost_s=1.0)
    assert not tracker.misses_one
    ids(tracker, [plate(100)], 0)
    assert not tracker.misses_one
    ids(tracker, [], 0.5)
    assert tracker.misses_one
    tracker.keep(at(0.9))
    assert tracker.misses_one
    tracker.keep(at(1.1))
    assert not tracker.misses_one


def test_a_weak_detection_prolongs_a_track_but_never_starts_one():
    tracker = Tracker()
    assert ids(tracker, [plate(100, score=0.2)], 0) == []
    assert ids(tracker, [plate(100)], 0.1) == [1]
    assert ids(tracker, [plate(103, score=0.2)], 0.2) == [1]
    assert ids(tracker, [plate(103, score=0.05)], 0.3) == []


def test_what_is_held_in_a_still_scene_lives_on_and_what_was_lost_before_does_not():
    tracker = Tracker(lost_s=1.0)
    ids(tracker, [plate(100), plate(800)], 0)
    ids(tracker, [plate(100)], 0.5)
    for step in range(1, 20):
        tracker.keep(at(0.5 + 0.5 * step))
    assert ids(tracker, [plate(100), plate(800)], 10.2) == [1, 3]


def test_what_a_look_misses_in_a_still_scene_is_where_it_was():
    tracker = Tracker(lost_s=1.0)
    ids(tracker, [plate(100), plate(800)], 0)
    ids(tracker, [plate(100)], 0.5)
    for step in range(1, 20):
        (kept,) = tracker.update([], at(0.5 + 0.5 * step), still=True)
        assert (kept.id, kept.detection, kept.hits) == (1, plate(100), 2)
    assert ids(tracker, [plate(102), plate(800)], 10.2) == [1, 3]
    assert ids(tracker, [], 10.4) == []


def test_hits_count_the_detections_of_a_track():
    tracker = Tracker()
    hits = [tracker.update([plate(100 + step)], at(step / 10))[0].hits for step in range(4)]
    assert hits == [1, 2, 3, 4]


def test_a_box_without_area_is_tracked_like_any_other():
    degenerate: Box = (5.0, 5.0, 5.0, 5.0)
    tracker = Tracker()
    tracker.update([Detection(degenerate, 0.9)], at(0))
    assert len(tracker.update([plate(100)], at(0.1))) == 1
