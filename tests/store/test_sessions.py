"""Sessions of vehicles, from the events of their passes."""

import json
import os
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plateid.config.service import OccupancyConfig
from plateid.config.storage import PrivacyConfig
from plateid.core.records import Direction, ListMatch, PlateEvent
from plateid.errors import StoreError
from plateid.store.privacy import Privacy
from plateid.store.purge import Purge
from plateid.store.sessions import Occupancy, Sessions
from tests.support.broken_disk import full_disk
from tests.support.histories import files_with, retention
from tests.support.samples import NOON, event


def at_gate(plate: str, way: str | None, number: int = 0, **changes) -> PlateEvent:
    """An event of pass `number`, which is seen at that minute."""
    moment = NOON + timedelta(minutes=number)
    times = {"first_seen": moment, "last_seen": moment + timedelta(seconds=5)}
    direction = Direction(way, 0.0) if way else None
    return event(
        number, plate=plate, pass_id=f"pass-{number}", direction=direction, **times, **changes
    )


@pytest.fixture
def sessions(store) -> Sessions:
    return Sessions(store.path, OccupancyConfig(enabled=True, capacity=3))


def plates(sessions: Sessions) -> list[str]:
    return [session.plate for session in sessions.inside()]


def note(sessions: Sessions, *events: PlateEvent) -> list[str]:
    for each in events:
        sessions.note(each)
    return plates(sessions)


def test_vehicle_is_inside_from_its_entry_to_its_exit(sessions):
    assert note(sessions, at_gate("AB12CDE", None, 1)) == []
    assert note(sessions, at_gate("AB12CDE", "in", 2), at_gate("XY99ZZZ", "in", 3)) == [
        "AB12CDE",
        "XY99ZZZ",
    ]
    assert note(sessions, at_gate("AB12CDE", "out", 9)) == ["XY99ZZZ"]
    left = sessions.all()[0]
    assert (left.entered_at[11:16], left.left_at[11:16]) == ("12:02", "12:09")
    assert sessions.report() == {"inside": 1, "capacity": 3, "free": 2, "listed": {}}


@pytest.mark.parametrize(
    ("seen", "inside"),
    [
        ("B68SPK", []),
        ("868SPK", []),
        ("B68SP", []),
        ("B68XYK", ["B68SPK"]),
        ("ZZ1234", ["B68SPK"]),
    ],
)
def test_misread_exit_ends_the_nearest_session(sessions, seen, inside):
    note(sessions, at_gate("B68SPK", "in", 1), at_gate(seen, "out", 2))
    assert plates(sessions) == inside


def test_nearer_plate_leaves_and_names_of_other_entries_stay(sessions):
    ana, bob = (ListMatch(name, "allow", 0) for name in ("Ana", "Bob"))
    note(sessions, at_gate("B68SPK", "in", 1, list=ana), at_gate("B68SPH", "in", 2, list=bob))
    assert sessions.report()["listed"].keys() == {"Ana", "Bob"}
    assert note(sessions, at_gate("B68SPH", "out", 3)) == ["B68SPK"]
    assert note(sessions, at_gate("B68SPK", "out", 4, list=bob)) == ["B68SPK"]
    assert note(sessions, at_gate("B68SPK", "out", 5, list=ana)) == []


def test_later_event_of_a_pass_replaces_the_earlier_one(sessions):
    seen = at_gate("B68SPH", "in", 1)
    assert note(sessions, seen, at_gate("B68SPK", "in", 1)) == ["B68SPK"]
    assert note(sessions, at_gate("B68SPK", "out", 2)) == []
    assert note(sessions, at_gate("B68SPK", None, 2)) == ["B68SPK"]  # it turned back
    assert note(sessions, at_gate("B68SPK", "in", 1)) == ["B68SPK"]
    assert note(sessions, at_gate("B68SPK", None, 1)) == []
    assert note(sessions, at_gate("QQ1234", "in", 3), at_gate("XX9999", "out", 4)) == ["QQ1234"]
    assert note(sessions, at_gate("QQ1234", "out", 4)) == []  # its plate_seen was a misread
    assert note(sessions, at_gate("QQ1234", "in", 3)) == []


def test_second_entry_replaces_a_session_whose_exit_was_missed(sessions):
    assert note(sessions, at_gate("B68SPK", "in", 1), at_gate("868SPK", "in", 5)) == ["868SPK"]
    assert note(sessions, at_gate("B68SPH", "in", 6)) == ["868SPK", "B68SPH"]


def test_cameras_of_entry_and_exit_count_without_direction(store):
    sessions = Sessions(store.path, OccupancyConfig(enabled=True, entry=["front"], exit=["back"]))
    assert note(sessions, at_gate("B68SPK", None, 1, camera="front")) == ["B68SPK"]
    assert note(sessions, at_gate("B68SPK", "in", 2, camera="back")) == []
    assert note(sessions, at_gate("B68SPK", "in", 3, camera="gate")) == ["B68SPK"]


def test_session_is_corrected_by_hand(sessions):
    note(sessions, at_gate("B68SPK", "in", 1))
    sessions.end("pass-1")
    assert note(sessions, at_gate("B68SPK", "in", 1)) == []  # plate_left comes later
    sessions.add("AB12CDE", "Ana")
    sessions.add("", "")
    assert sessions.report()["inside"] == 2
    assert note(sessions, at_gate("ZZ1234", "out", 2)) == ["AB12CDE"]  # ends the unknown one
    assert list(sessions.report()["listed"]) == ["Ana"]


def test_capacity_that_is_exceeded_leaves_no_place(sessions):
    note(sessions, *(at_gate(f"QQ{n}{n}{n}{n}", "in", n) for n in range(1, 6)))
    assert (sessions.report()["inside"], sessions.report()["free"]) == (5, 0)


def test_session_without_an_exit_ends_by_its_age(store):
    settings, published = OccupancyConfig(enabled=True, max_days=2), []
    occupancy = Occupancy(settings, store.path, published.append)
    for plate, days in (("AB12CDE", 2.1), ("XY99ZZZ", 1.9)):
        moment = datetime.now(UTC) - timedelta(days=days)
        occupancy.accept(replace(at_gate(plate, "in"), pass_id=plate, first_seen=moment))
    assert plates(Sessions(store.path)) == ["XY99ZZZ"]
    ended = Sessions(store.path).all()[0]
    assert (ended.plate, ended.exit_id, ended.left_at > ended.entered_at) == (
        "AB12CDE",
        "no exit seen",
        True,
    )
    assert [json.loads(report)["inside"] for report in published] == [0, 1]


@given(
    st.lists(
        st.tuples(st.sampled_from("ABC"), st.sampled_from(["in", "out", None]), st.integers(0, 5))
    )
)
def test_each_pass_has_one_session_and_no_vehicle_is_inside_twice(tmp_path_factory, steps):
    sessions = Sessions(tmp_path_factory.mktemp("s") / "store", OccupancyConfig(enabled=True))
    for letter, way, number in steps:
        note(sessions, at_gate(4 * letter, way, number))
        assert len(set(plates(sessions))) == len(plates(sessions))
    assert len({session.id for session in sessions.all()}) == len(sessions.all())


def test_file_is_private_and_a_broken_one_is_an_error(sessions, store):
    note(sessions, at_gate("B68SPK", "in", 1))
    file = store.path.with_name(f"{store.path.name}.sessions")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match="sessions"):
        sessions.inside()


def test_events_of_a_full_disk_are_noted_later_in_order(sessions, store):
    reports = []
    occupancy = Occupancy(OccupancyConfig(enabled=True), store.path, reports.append)
    occupancy.accept(at_gate("AB12CDE", "in", 1))
    with full_disk():
        occupancy.accept(at_gate("AB12CDE", "out", 2))
        occupancy.accept(at_gate("XY99ZZZ", "in", 3))
    occupancy.check()
    assert plates(sessions) == ["XY99ZZZ"]
    assert [json.loads(report)["inside"] for report in reports] == [1, 1]


@pytest.mark.parametrize("rule", ["hash", "drop"])
def test_hidden_plates_are_counted_and_not_stored(sessions, store, rule):
    note(sessions, at_gate("B68SPK", "in", 1))
    privacy = Privacy(PrivacyConfig(unlisted=rule), store.path)
    sessions.redact(privacy)
    sessions.redact(privacy)
    for number, way in ((2, "in"), (3, "out")):
        note(sessions, privacy.redacted(at_gate("AB12CDE", way, number)))
    assert len(plates(sessions)) == 1
    note(sessions, privacy.redacted(at_gate("B68SPK", "out", 4)))
    assert plates(sessions) == []
    assert files_with(store.path.parent, "B68SPK") == files_with(store.path.parent, "AB12") == []


def test_purge_and_retention_delete_sessions(sessions, store):
    note(sessions, at_gate("AB12CDE", "in", 1), at_gate("XY99ZZZ", "in", 2))
    Purge(store.path).plate("ab12cde")
    assert plates(sessions) == ["XY99ZZZ"]
    note(sessions, at_gate("QQ1234", "in", 3), at_gate("QQ1234", "out", 4))
    retention(store, events_days=1e-4).check()
    assert [session.plate for session in sessions.all()] == ["XY99ZZZ"]
    Purge(store.path).before(NOON + timedelta(hours=1))
    assert sessions.all() == []


def test_damaged_labels_are_named_and_hold_up_no_other_redaction(sessions, store, logs):
    note(sessions, at_gate("AB12CDE", "in", 1))
    store.path.with_name(f"{store.path.name}.labels").write_bytes(b"no database" * 100)
    retention(store, unlisted="drop").finish()
    assert plates(sessions) == [""]
    assert [entry["reason"] for entry in logs if entry["log_level"] == "warning"] == [
        f"{store.path}.labels: file is not a database"
    ]


def test_damaged_sessions_hold_up_no_retention(sessions, store):
    note(sessions, at_gate("AB12CDE", "in", 1))
    store.path.with_name(f"{store.path.name}.sessions").write_bytes(b"no database" * 100)
    aside = store.path.with_name(f"{store.path.name}.corrupt-20260101T000000Z")
    aside.write_text("AB12CDE")
    os.utime(aside, (0, 0))
    retention(store).check()
    assert not aside.exists()
