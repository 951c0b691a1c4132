from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plateid.core.list_csv import COLUMNS, parse_entries
from plateid.core.lists import CONFUSABLE, ListEntry, Lists, distance
from plateid.core.records import ListMatch
from plateid.core.text import CHARSET, edit_distance
from plateid.errors import ConfigError

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LOCAL = NOW.astimezone().replace(tzinfo=None)
plates = st.text(CHARSET, max_size=8)
GOOD = """\
# our cars
plate,list,name,note,valid_from,valid_to,cameras
B 68 SPK,allow,Ana,"blue, ""the"" Dacia",,,
cj-12-abc,DENY,,,2026-01-01,2026-12-31,gate drive

XX99,watch,Post,,2026-11-24T08:30,2026-11-24T18:30:00+00:00,gate
"""


def parsed(text: str) -> tuple[ListEntry, ...]:
    return parse_entries(text, "plates.csv", ("gate", "drive"))


def entry(plate: str, kind="allow", name="", **changes) -> ListEntry:
    return ListEntry(plate, kind, name or plate, **changes)


def test_file_with_all_columns_is_parsed():
    ana, denied, post = parsed(GOOD)
    assert ana == ListEntry("B68SPK", "allow", "Ana", 'blue, "the" Dacia')
    assert (denied.plate, denied.kind, denied.name) == ("CJ12ABC", "deny", "cj-12-abc")
    assert denied.valid_from == datetime(2026, 1, 1)  # noqa: DTZ001 - local time
    assert denied.valid_to == datetime(2026, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001
    assert denied.cameras == {"gate", "drive"}
    assert post.valid_to == datetime(2026, 11, 24, 18, 30, tzinfo=UTC).astimezone().replace(
        tzinfo=None
    )


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_separators_line_ends_and_byte_order_mark_are_accepted(separator, end, mark):
    rows = ["plate,list,name", "B68SPK,allow,Ana"]
    text = mark + end.join(row.replace(",", separator) for row in rows)
    assert parsed(text) == (ListEntry("B68SPK", "allow", "Ana"),)


@pytest.mark.parametrize("text", ["list,plate\n", "# c\nlist,plate\n\n#more\n,,\n"])
def test_list_may_be_empty(text):
    assert parsed(text) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no column plate; the first row names plate,list,name"),
        ("B68SPK,allow\n", "line 1: unknown column 'b68spk'"),
        ("# ours\nplate,list,colour\n", "line 2: unknown column 'colour'"),
        ("plate,list,plate\n", "line 1: column plate is there twice"),
        ("plate,name\n", "line 1: no column list"),
        ("plate,list\nB68SPK,allow,Ana\n", "line 2: 3 cells, but the first row names 2"),
        ("plate,list\nB68SPK\n", "line 2: list: '' is not one of allow, deny, watch"),
        ("plate,list\n\nB68SPK,white\n", "line 3: list: 'white' is not one of"),
        ("plate,list\n,allow\n", "line 2: plate: '' is not of the letters"),
        ("plate,list\nB*,allow\n", r"line 2: plate: 'B\*' is not of the letters"),
        ("plate,list\nMÜ123,allow\n", "line 2: plate: 'MÜ123' is not of"),
        ("plate,list,valid_from\nA1,allow,24.11.2026\n", "line 2: valid_from: '24.11.2026' is not"),
        ("plate,list,valid_to\nA1,allow,2026-02-30\n", "line 2: valid_to: '2026-02-30' is not as"),
        (
            "plate,list,valid_from,valid_to\nA1,allow,2026-02-02,2026-02-01\n",
            "line 2: valid_to is before valid_from",
        ),
        ("plate,list,cameras\nA1,allow,gate yard\n", "line 2: cameras: there is no 'yard'; known"),
        ('plate,list,note\nA1,allow,"a\nb"\nA2,x,\n', "line 4: list: 'x'"),
        ('plate,list,note\nA1,allow,"a\n', "line 2: is not CSV: unexpected end"),
    ],
)
def test_error_names_the_line_and_the_reason(text, message):
    with pytest.raises(ConfigError, match=f"^plates.csv: {message}"):
        parsed(text)


@given(st.text() | st.text('plate,list;\t\n\r"#AB1deny 2026-:\0').map(GOOD.__add__))
def test_any_text_is_a_list_or_gives_one_error(text):
    try:
        parsed(text)
    except ConfigError as error:
        assert "plates.csv: line " in str(error)  # noqa: PT017 - both outcomes are right


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


@pytest.mark.parametrize("last_day", ["2026-11-24", "20261124", "2026-W48-2"])
def test_last_day_is_valid_in_every_iso_form(last_day):
    text = f"plate,list,valid_to\nB68SPK,allow,{last_day}\n"
    (guest,) = parse_entries(text, "plates.csv", ())
    assert guest.valid_to == datetime(2026, 11, 24, 23, 59, 59, 999999)  # noqa: DTZ001


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


def test_header_with_every_column_is_accepted():
    assert parsed(",".join(COLUMNS)) == ()
