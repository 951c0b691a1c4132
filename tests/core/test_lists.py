from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plateid.core.lists import CONFUSABLE, ListEntry, Lists, distance
from plateid.core.records import ListMatch
from plateid.core.text import CHARSET, edit_distance

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LOCAL = NOW.astimezone().replace(tzinfo=None)
plates = st.text(CHARSET, max_size=8)


def entry(plate: str, kind="allow", name="", **changes) -> ListEntry:
    return ListEntry(plate, kind, name or plate, **changes)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("B68SPK", "B68SPK", 0),
        ("B68SPK", "868SPK", 0.25),
        ("B68SPK", "86BSPK", 0.5),
        ("O0I1B8S5Z2", "0O1I8B5S2Z", 2.5),
        ("D1", "01", 0.25),
        ("B68SPK", "C68SPK", 1),
        ("B68SPK", "B68SP", 1),
        ("B68SPK", "8B68SPK", 1),
        ("", "AB", 2),
    ],
)
def test_confusable_character_costs_a_quarter(a, b, expected):
    assert distance(a, b) == distance(b, a) == expected


@given(plates, plates, plates)
def test_distance_is_symmetric_and_at_most_the_edit_distance(a, b, c):
    assert distance(a, b) == distance(b, a) <= edit_distance(a, b)
    assert (distance(a, b) == 0) == (a == b)
    assert distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)


@given(plates, plates, st.sampled_from([0, 0.25, 0.5, 1, 2]))
def test_at_most_changes_no_smaller_distance(a, b, at_most):
    bounded = distance(a, b, at_most=at_most)
    assert bounded == distance(a, b) or min(bounded, distance(a, b)) > at_most


@given(plates, plates, st.sampled_from([0, 0.25, 0.5, 1, 2, 3]))
def test_entry_matches_exactly_within_max_distance(a, b, max_distance):
    fits = matched(entry(b), plate=a, max_distance=max_distance) is not None
    assert fits == (distance(a, b) <= max_distance)


@given(st.data(), st.text(CHARSET, min_size=1, max_size=8))
def test_one_confusable_character_is_within_the_default_distance(data, plate):
    at = data.draw(st.integers(0, len(plate) - 1))
    other = data.draw(
        st.sampled_from([o for one, o in CONFUSABLE if one == plate[at]] or [plate[at]])
    )
    assert matched(entry(plate[:at] + other + plate[at + 1 :]), plate=plate) is not None


def matched(*entries: ListEntry, plate="B68SPK", camera="gate", at=NOW, max_distance=0.5):
    found = Lists(entries, max_distance).match(plate, camera=camera, at=at)
    return found and (found.name, found.distance)


@pytest.mark.parametrize(
    ("max_distance", "expected"), [(0, None), (0.25, ("868SPK", 1)), (3, ("868SPK", 1))]
)
def test_max_distance_is_configurable(max_distance, expected):
    assert matched(entry("868SPK"), max_distance=max_distance) == expected


def test_nearest_entry_wins_then_the_strictest_kind():
    assert matched(entry("868SPK", "deny"), entry("B68SPK", "allow")) == ("B68SPK", 0)
    assert matched(entry("B68SPK"), entry("B68SPK", "deny", "no")) == ("no", 0)
    assert matched(entry("B68SPK"), entry("B68SPK", "watch", "look")) == ("look", 0)
    assert matched(entry("B68SPK", name="1st"), entry("B68SPK", name="2nd")) == ("1st", 0)


def test_match_has_name_kind_and_edit_distance():
    lists = Lists((entry("86BSPK", "deny", "Bob"),))
    assert lists.match("B68SPK", camera="gate", at=NOW) == ListMatch("Bob", "deny", 2)


@pytest.mark.parametrize("plate", ["", "A", "CJ12ABC"])
def test_unlisted_plate_matches_nothing(plate):
    assert matched(entry("B68SPK"), plate=plate) is None
    assert matched(plate=plate) is None


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, True),
        ({"valid_from": LOCAL}, True),
        ({"valid_from": LOCAL + timedelta(seconds=1)}, False),
        ({"valid_to": LOCAL}, True),
        ({"valid_to": LOCAL - timedelta(seconds=1)}, False),
        ({"cameras": frozenset({"gate"})}, True),
        ({"cameras": frozenset({"drive"})}, False),
    ],
)
def test_entry_is_valid_only_at_its_time_and_cameras(changes, counts):
    assert (matched(entry("B68SPK", **changes)) is not None) == counts
