from dataclasses import replace
from datetime import timedelta

import pytest

from plateid.core.formats import shipped_formats
from plateid.core.reading import read_detections
from plateid.pipeline.camera_pipeline import MAX_READS
from tests.pipeline.road import (
    LEFT,
    RULES,
    SEEN,
    START,
    FakeNetworks,
    GrowingNetworks,
    MissingNetworks,
    Recording,
    Road,
    Vehicle,
    frames,
    pipeline,
    process,
    record,
)


@pytest.mark.parametrize("rate", [5, 8, 10, 15, 25, 30])
def test_pass_gives_two_events_at_any_frame_rate(rate):
    assert record(Vehicle("B68SPK", 0.5, 4), rate=rate).published() == [
        ("plate_seen", "B68SPK"),
        ("plate_left", "B68SPK"),
    ]


def test_empty_road_gives_no_event():
    assert record().events == []


def test_two_vehicles_in_a_row_are_two_passes():
    published = record(Vehicle("AAA111", 0.2, 5), Vehicle("BBB222", 1.5, 5)).published()
    assert sorted(published) == sorted(
        [(kind, plate) for kind in ("plate_seen", "plate_left") for plate in ("AAA111", "BBB222")]
    )


def test_plate_seen_is_published_at_sure_confidence():
    confident = record(Vehicle("B68SPK", 0, 6, probability=0.99))
    assert 0.3 <= (confident.events[0].last_seen - START).total_seconds() < 0.4


def test_plate_seen_is_published_after_max_wait_at_min_confidence():
    rules = RULES.model_copy(update={"sure_confidence": 1.1})
    uncertain = record(Vehicle("B68SPK", 0, 6), rules=rules)
    assert 2.9 < (uncertain.events[0].last_seen - START).total_seconds() < 3.2


def test_pass_below_min_confidence_is_not_published():
    assert record(Vehicle("B68SPK", 0, 4, probability=0.03)).events == []


def test_unpublished_pass_is_counted():
    result = Recording()
    camera = pipeline(result)
    seen = [
        Vehicle("B68SPK", 0, 4, probability=0.03),
        Vehicle("CJ12ABC", 1, 5, y=500, probability=0.99),
    ]
    process(camera, frames(seen, rate=10, until_s=9))
    assert {plate for _, plate in result.published()} == {"CJ12ABC"}
    assert camera.unpublished == 1


def test_single_detection_is_not_published():
    assert record(Vehicle("B68SPK", 1, 1.01), rate=10).events == []


def test_text_of_unknown_syntax_needs_twice_the_time():
    sign = record(Vehicle("9Q2", 0, 0.5, probability=0.99))
    vanity = record(Vehicle("9Q2", 0, 0.9, probability=0.99))
    assert (len(sign.events), len(vanity.events)) == (0, 2)


def test_misreads_of_single_frames_are_outvoted():
    published = record(Vehicle("B68SPK", 0, 4, misread=("B6BSPK", "B68SPK", "868SPK"))).published()
    assert published == [SEEN, LEFT]


@pytest.mark.parametrize(("strict", "published"), [(False, ["PARKING"] * 2), (True, [])])
def test_strict_syntax_publishes_matching_texts_only(strict, published):
    romania = shipped_formats().expecting(["ro"], key="regions", strict=strict)
    sign = record(Vehicle("PARKING", 0, 4), formats=romania)
    assert [event.plate for event in sign.events] == published


def test_event_has_plate_after_syntax_and_plate_raw_before():
    romania = shipped_formats().expecting(["ro"], key="regions", strict=True)
    seen, left = record(Vehicle("BO1SPK", 0, 4), formats=romania).events
    for event in (seen, left):
        assert (event.plate, event.plate_raw) == ("B01SPK", "BO1SPK")
        assert (event.plate_display, event.region.code) == ("B 01 SPK", "ro")
        assert event.reads == event.agreeing_reads


def test_published_plate_stays_when_strict_syntax_rejects_later_reads():
    romania = shipped_formats().expecting(["ro"], key="regions", strict=True)
    first = Vehicle("B68SPK", 0, 0.5, speed=80, probability=0.99)
    then = Vehicle("MMMMMM", 0.51, 6, x=140, speed=10, probability=0.99)
    result = record(first, then, formats=romania)
    assert result.published() == [SEEN, LEFT]
    assert [event.corrected for event in result.events] == [False, False]


def test_changed_reading_is_corrected_in_plate_left():
    first = Vehicle("AB128", 0, 0.5, speed=80, y=300, probability=0.99)
    then = Vehicle("AB123", 0.51, 6, x=140, speed=10, y=301, probability=0.99)
    result = record(first, then)
    assert result.published() == [("plate_seen", "AB128"), ("plate_left", "AB123")]
    assert [event.corrected for event in result.events] == [False, True]


@pytest.mark.parametrize("hidden_s", [0.3, 0.8])
def test_short_occlusion_does_not_split_a_pass(hidden_s):
    assert len(record(Vehicle("B68SPK", 0, 4, hidden=(1.5, 1.5 + hidden_s))).events) == 2


def test_track_that_jumps_is_rejoined_by_its_text():
    before = Vehicle("B68SPK", 0, 2, x=100)
    after = Vehicle("B68SPK", 2.3, 5, x=900, y=600, speed=50)
    result = record(before, after)
    assert result.published() == [SEEN, LEFT]
    assert result.events[-1].dwell_s == pytest.approx(5, abs=0.2)


def test_convoy_of_plates_that_differ_in_one_character_is_two_passes():
    first = Vehicle("B68SPK", 0, 2, x=100)
    second = Vehicle("B69SPK", 2.3, 5, x=900, y=600, speed=50)
    assert sorted(record(first, second).published()) == [
        *(("plate_left", plate) for plate in ("B68SPK", "B69SPK")),
        *(("plate_seen", plate) for plate in ("B68SPK", "B69SPK")),
    ]


def test_fusion_reads_plate_that_every_frame_misreads():
    wrong = ("A81234C", "AB1Z34C", "AB12B4C", "AB123AC", "AB1234G")
    published = record(Vehicle("4B1234C", 0, 3, misread=wrong), rate=5).published()
    assert published == [("plate_seen", "AB1234C"), ("plate_left", "AB1234C")]


@pytest.mark.parametrize("days", [-7300, -0.1, 0.1, 400])
def test_clock_step_neither_splits_a_pass_nor_adds_dwell(days):
    step, result = timedelta(days=days), Recording()
    camera = pipeline(result)
    shown = frames([Vehicle("B68SPK", 0, 4)], rate=10, until_s=4)
    process(camera, shown[:20])
    process(camera, shown[20:], step=step)
    camera.finish()
    assert result.published() == [SEEN, LEFT]
    left = result.events[1]
    assert (left.first_seen, left.last_seen) == (START + step, START + step + timedelta(seconds=4))
    assert left.dwell_s == 4


def test_pass_that_began_before_clock_sync_is_published_as_unsynced():
    synced = iter([False])
    result = Recording(clock_synced=lambda: next(synced, True))
    camera = pipeline(result)
    vehicles = [Vehicle("B68SPK", 0, 4), Vehicle("CJ12ABC", 2, 6)]
    process(camera, frames(vehicles, rate=10, until_s=8))
    camera.finish()
    published = [(event.plate, event.clock_synced) for event in result.events]
    assert sorted(published) == 2 * [("B68SPK", False)] + 2 * [("CJ12ABC", True)]


def test_same_vehicle_much_later_is_a_new_pass():
    result = record(Vehicle("B68SPK", 0, 2), Vehicle("B68SPK", 5, 7), until_s=10)
    assert len(result.events) == 4
    assert len({event.pass_id for event in result.events}) == 2


@pytest.mark.parametrize(("rate", "a_second"), [(5, 5), (8, 4), (10, 5), (12, 4), (15, 5), (30, 5)])
def test_busy_device_skips_frames_while_all_passes_are_settled(rate, a_second):
    vehicle = Vehicle("B68SPK", 0, 9.9)
    first, all_ = (
        record(vehicle, rate=rate, until_s=s, busy=True).networks.detect_calls for s in (2, 6)
    )
    assert all_ - first == pytest.approx(4 * a_second, abs=1)


def test_busy_device_skips_frames_of_uncertain_vehicle_after_its_time_limit():
    uncertain = Vehicle("B68SPK", 0, 30, speed=60, misread=("B68SPX",))
    first, all_ = (record(uncertain, until_s=s, busy=True).networks.detect_calls for s in (10, 14))
    assert all_ - first == pytest.approx(4 * 5, abs=1)


def test_busy_device_skips_no_frame_while_a_vehicle_is_unpublished():
    vehicle = Vehicle("B68SPK", 0, 4, probability=0.03)
    result = record(vehicle, until_s=RULES.max_wait_s, busy=True)
    assert result.networks.detect_calls == 15 * RULES.max_wait_s


@pytest.mark.parametrize("rate", [5, 8, 10, 15, 25, 30])
def test_skipping_frames_misses_no_vehicle(rate):
    vehicles = Vehicle("B68SPK", 0, 4), Vehicle("B69SPK", 3, 6, y=500)
    result = record(*vehicles, rate=rate, busy=True)
    assert sorted(result.published()) == sorted(record(*vehicles, rate=rate).published())
    seen = [event for event in result.events if event.plate == "B69SPK"]
    assert (seen[0].first_seen - START).total_seconds() == pytest.approx(3, abs=0.21)


def test_frame_from_before_the_last_one_is_not_skipped():
    camera = pipeline(Recording())
    first, second = frames([], rate=30, until_s=1 / 30)
    assert camera.process_if_useful(second) is not None
    soon = replace(second, captured_at=second.captured_at + timedelta(seconds=0.01))
    assert camera.process_if_useful(soon) is None
    assert camera.skipped == 1
    assert camera.process_if_useful(first) is not None


@pytest.mark.parametrize("hidden_s", [3.2, 3.4, 3.6])
def test_vehicle_that_leaves_between_compared_frames_has_left(hidden_s):
    """At 5 frames per second the gate compares every third frame, at 3.4 s and 4 s among others."""
    comes = Vehicle("B68SPK", 0, 3.8, hidden=(hidden_s, hidden_s + 0.1))
    left = record(comes, rate=5, until_s=40).events[-1]
    assert (left.event_type, left.dwell_s, left.parked) == ("plate_left", 3.8, False)


@pytest.mark.parametrize("missed", [{24}, {25, 26}, {27, 28, 29, 30}])
def test_missed_detections_of_waiting_vehicle_do_not_split_the_pass(missed):
    comes = Vehicle("B68SPK", 0, 2.01, x=200)
    waits = Vehicle("B68SPK", 2.01, 40, x=500, speed=0)
    networks = MissingNetworks(missed)
    result = record(comes, waits, networks=networks, rate=10, until_s=45)
    assert result.published() == [SEEN, LEFT]
    assert networks.detect_calls > max(missed)
    assert (result.events[1].last_seen - START).total_seconds() == pytest.approx(40, abs=0.2)


def test_missed_detection_of_stopping_vehicle_does_not_split_the_pass():
    comes = Vehicle("B68SPK", 0, 1.21, x=200)
    waits = Vehicle("B68SPK", 1.21, 40, x=395, speed=0)
    result = record(comes, waits, networks=MissingNetworks({14}), rate=10, until_s=45)
    assert result.published() == [SEEN, LEFT]


def test_camera_stall_of_seconds_does_not_split_the_pass():
    result = Recording()
    camera = pipeline(result)
    for frame in frames([Vehicle("B68SPK", 0, 20, speed=0)], rate=10, until_s=25):
        if not 3 < frame.media_time_s < 6:
            camera.process(frame)
    assert result.published() == [SEEN, LEFT]


def test_parked_vehicle_in_still_scene_is_one_pass_with_few_detections():
    result = record(Vehicle("B68SPK", 0, 60, speed=0), rate=10, until_s=70)
    assert [event.event_type for event in result.events] == ["plate_seen", "plate_left"]
    assert result.events[-1].dwell_s == pytest.approx(60, abs=0.3)
    assert result.networks.detect_calls < 70


def test_settled_plate_is_read_rarely():
    result = record(Vehicle("B68SPK", 0, 6, probability=0.99))
    assert 12 <= result.networks.boxes_read <= 24
    assert result.networks.detect_calls > 80


def test_uncertain_plate_is_read_in_each_frame_after_publication():
    rules = RULES.model_copy(update={"sure_confidence": 1.0, "max_wait_s": 0.5})
    misread = ("B68SPX", "868SPK", "B6BSPK", "B68SPK")
    result = record(Vehicle("B68SPK", 0, 3, probability=0.6, misread=misread), rules=rules)
    assert result.published()[0][0] == "plate_seen"
    assert result.networks.boxes_read >= 40


def test_approaching_plate_is_read_again_at_once():
    result, networks = Recording(), GrowingNetworks()
    camera = pipeline(replace(result, networks=networks))
    process(camera, frames([Vehicle("B68SPK", 0, 4, probability=0.99)], rate=15, until_s=4))
    still = record(Vehicle("B68SPK", 0, 4, probability=0.99), until_s=4)
    assert networks.boxes_read > still.networks.boxes_read + 5


def test_all_plates_of_a_car_park_are_read_a_few_at_a_time():
    park = [
        Vehicle(f"AB{n:02}CDE", 0, 3, x=20 + 70 * n, y=20 + 60 * n, speed=40) for n in range(10)
    ]
    result = record(*park)
    assert {plate for _, plate in result.published()} == {vehicle.text for vehicle in park}
    assert result.networks.max_batch == MAX_READS


def test_plate_at_the_border_is_not_read():
    assert record(Vehicle("B68SPK", 0, 3, x=-20, speed=0)).networks.boxes_read == 0


def test_finish_ends_open_passes():
    assert record(Vehicle("B68SPK", 0, 60), until_s=2).published()[-1] == ("plate_left", "B68SPK")


def test_events_have_pass_fields_and_increasing_seq():
    seen, left = record(Vehicle("B68SPK", 0.5, 4)).events
    assert seen.pass_id == left.pass_id
    assert seen.id != left.id
    assert (seen.seq, left.seq) == (1, 2)
    assert left.first_seen == seen.first_seen == START + timedelta(seconds=8 / 15)
    assert 2 < len(left.path) <= 64
    assert left.path[0].t == 0
    assert left.reads >= left.agreeing_reads > 5


def test_snapshot_gets_best_frame_with_boxes_of_all_plates():
    result = record(Vehicle("AAA111", 0.2, 5), Vehicle("BBB222", 0.2, 5, y=600))
    for event, frame in zip(result.events, result.frames, strict=True):
        assert frame is not None
        assert frame.box == event.box
        assert {box for box, _, _ in frame.image.plates} == set(frame.plates)
        assert len(frame.plates) == 2
    assert result.frames[0] is not result.frames[2]


def test_plates_of_an_image_are_sorted_by_confidence():
    boxes = [
        ((100.0, 100.0, 200.0, 125.0), "BAD123", 0.5),
        ((300.0, 100.0, 400.0, 125.0), "GOOD12", 0.99),
    ]
    networks, road = FakeNetworks(), Road(boxes)
    plates = read_detections(road, networks.detect(road), networks.read)
    assert [plate.text for plate in plates] == ["GOOD12", "BAD123"]
    assert read_detections(Road([]), [], networks.read) == []
