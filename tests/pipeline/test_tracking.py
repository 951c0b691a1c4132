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
def test_moving_plate_keeps_its_id_at_any_frame_rate(rate, speed):
    tracker = Tracker()
    for step in range(3 * rate):
        assert ids(tracker, [plate(50 + speed * step / rate)], step / rate) == [1]


@pytest.mark.parametrize("rate", [5, 15, 30])
def test_approaching_plate_keeps_its_id(rate):
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


def test_nearer_of_two_boxes_of_one_plate_continues_the_track():
    tracker = Tracker()
    for step in range(6):
        tracker.update([plate(500, 200 + step, 40)], at(step / 30))
    nearer, other = (Detection(box, 0.3) for box in ((501, 208, 537, 216), (500, 201, 540, 211)))
    (track,) = tracker.update([other, nearer], at(6 / 30))
    assert track.detection == nearer


def test_track_survives_gap_shorter_than_lost_s_only():
    tracker = Tracker(lost_s=1.0)
    ids(tracker, [plate(100)], 0)
    assert ids(tracker, [], 0.5) == []
    assert ids(tracker, [plate(104)], 0.9) == [1]
    assert ids(tracker, [], 2.4) == []
    assert ids(tracker, [plate(104)], 2.5) == [2]


@pytest.mark.parametrize(("gap_s", "id_"), [(1.5, 1), (4.9, 1), (5.2, 2)])
def test_track_survives_frame_gap_up_to_the_limit(gap_s, id_):
    tracker = Tracker(lost_s=1.0)
    ids(tracker, [plate(100)], 0)
    assert ids(tracker, [plate(104)], gap_s) == [id_]


def test_misses_one_until_the_track_is_lost():
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


def test_weak_detection_continues_a_track_but_never_starts_one():
    tracker = Tracker()
    assert ids(tracker, [plate(100, score=0.2)], 0) == []
    assert ids(tracker, [plate(100)], 0.1) == [1]
    assert ids(tracker, [plate(103, score=0.2)], 0.2) == [1]
    assert ids(tracker, [plate(103, score=0.05)], 0.3) == []


def test_keep_extends_tracks_of_the_last_update_only():
    tracker = Tracker(lost_s=1.0)
    ids(tracker, [plate(100), plate(800)], 0)
    ids(tracker, [plate(100)], 0.5)
    for step in range(1, 20):
        tracker.keep(at(0.5 + 0.5 * step))
    assert ids(tracker, [plate(100), plate(800)], 10.2) == [1, 3]


def test_still_update_keeps_undetected_tracks_of_the_last_update():
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


def test_box_without_area_is_tracked():
    degenerate: Box = (5.0, 5.0, 5.0, 5.0)
    tracker = Tracker()
    tracker.update([Detection(degenerate, 0.9)], at(0))
    assert len(tracker.update([plate(100)], at(0.1))) == 1
