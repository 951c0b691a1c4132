import json

import pytest

from tests.campaign.oracle import EPOCH, ended, judge
from tests.campaign.record import End, Line, Received, Record, Window
from tests.campaign.schedule import FAULTS, Vehicle, draw_faults, draw_vehicles

PASSING = Vehicle("http", "ACDEFH", enters=10.0, stands_s=0.0)
STANDING = Vehicle("http", "AHFEDC", enters=10.0, stands_s=20.0)


def event(kind="plate_seen", number=1, plate="ACDEFH", way="p1", **changes):
    named = {"id": f"{kind} {number}", "pass_id": way, "event_type": kind, "plate": plate}
    return named | {"seq": EPOCH + number, "replayed": False} | changes


def watched(*events, stored=(), **changes):
    """A record of a camera that was online from 5 s to 50 s."""
    record = Record(**changes)
    record.lines += [Line(5.0, 0, "camera online", "http", "")]
    record.ends += [End(50.0, 0, 0, asked=True)]
    record.received += [Received(14.0, json.dumps(e).encode(), e) for e in events]
    record.stored |= {e["id"]: e for e in stored}
    return record


def judged(record, vehicle=PASSING):
    return judge(record, {"http": [vehicle]})


def test_published_vehicle_is_neither_lost_nor_duplicated():
    verdict = judged(watched(event(), event("plate_left", 2), stored=[event()]))
    assert (verdict.lost, verdict.duplicated, verdict.undisturbed) == ([], [], 1)


@pytest.mark.parametrize(
    "record",
    [
        watched(),
        watched(event(), stored=[event("plate_left", 2)]),
        watched(event(), event("plate_left", 3)),
    ],
    ids=["vehicle", "stored event", "number"],
)
def test_missing_event_is_lost(record):
    assert len(judged(record).lost) == 1


def test_logged_event_is_lost_unless_the_service_was_killed_at_once():
    record = watched(event())
    record.lines.append(Line(20.0, 0, "plate_left", "http", "ACDEFH"))
    assert len(judged(record).lost) == 1
    record.ends[0] = End(21.0, 0, -9, asked=True)
    assert judged(record).lost == []


def test_vehicle_of_a_disturbed_camera_need_not_be_published():
    record = watched(windows=[Window("camera-freeze", "http", 13.0, 14.0)])
    assert (judged(record).lost, judged(record).undisturbed) == ([], 0)


@pytest.mark.parametrize(
    ("events", "stored"),
    [
        ([event(), event(sent_at="later")], []),
        ([event(), event(number=2, way="p2")], []),
        ([event(), event(number=2)], [event(), event(number=2)]),
        ([event(), event(number=2, seq=EPOCH + 1)], []),
    ],
    ids=["same event", "second pass", "second event of a pass", "same number"],
)
def test_event_that_arrives_twice_is_duplicated(events, stored):
    assert len(judged(watched(*events, stored=stored)).duplicated) == 1


def test_event_that_says_replayed_may_arrive_twice():
    assert judged(watched(event(), event(replayed=True))).duplicated == []


@pytest.mark.parametrize(("begin", "expected"), [(21.0, 1), (14.0, 0)])
def test_second_pass_is_a_duplicate_if_the_vehicle_stood_around_the_fault(begin, expected):
    events = [event(plate="AHFEDC"), event(number=2, way="p2", plate="AHFEDC")]
    record = watched(*events, windows=[Window("stop", "", begin, begin + 2)])
    assert len(judged(record, STANDING).duplicated) == expected


def test_second_pass_is_excused_if_a_page_was_damaged():
    events = [event(plate="AHFEDC"), event(number=2, way="p2", plate="AHFEDC")]
    windows = [Window("stop", "", 21.0, 23.0), Window("damage", "", 22.0, 22.1)]
    assert judged(watched(*events, windows=windows), STANDING).duplicated == []


def test_logged_vehicle_is_lost_unless_disk_and_broker_failed_until_the_end():
    record = watched()
    record.lines.append(Line(14.0, 0, "plate_seen", "http", "ACDEFH"))
    assert len(judged(record).lost) == 1
    record.windows += [Window("disk", "", 12.0, 51.0), Window("broker", "", 12.0, 51.0)]
    assert judged(record).lost == []


def test_end_without_a_reason_is_reported():
    record = watched()
    assert list(ended(record)) == []
    record.ends.append(End(40.0, 1, -11, asked=False))
    assert list(ended(record)) == ["40.0 s: run 1 ended with -11"]
    record.windows.append(Window("memory", "", 35.0, 41.0))
    assert list(ended(record)) == []


def test_seed_gives_the_same_schedule_again():
    assert draw_faults(7, 600, list(FAULTS)) == draw_faults(7, 600, list(FAULTS))
    assert draw_vehicles(7, 600) == draw_vehicles(7, 600) != draw_vehicles(8, 600)
