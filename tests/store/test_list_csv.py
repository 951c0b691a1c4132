from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plateid.core.lists import ListEntry
from plateid.errors import ConfigError
from plateid.store.list_csv import COLUMNS, parse_entries

GOOD = """\
# our cars
plate,list,name,note,valid_from,valid_to,cameras
B 68 SPK,allow,"Ana, ""the"" boss",blue Dacia,,,
cj-12-abc,DENY,,,2026-01-01,2026-12-31,gate drive

XX99,watch,Post,,2026-11-24T08:30,2026-11-24T18:30:00+00:00,gate
"""


def parsed(text: str) -> tuple[ListEntry, ...]:
    return parse_entries(text, "plates.csv", ("gate", "drive"))


def test_file_with_all_columns_is_parsed():
    ana, denied, post = parsed(GOOD)
    assert ana == ListEntry("B68SPK", "allow", 'Ana, "the" boss', "blue Dacia")
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


@pytest.mark.parametrize("last_day", ["2026-11-24", "20261124", "2026-W48-2"])
def test_last_day_is_valid_in_every_iso_form(last_day):
    text = f"plate,list,valid_to\nB68SPK,allow,{last_day}\n"
    (guest,) = parsed(text)
    assert guest.valid_to == datetime(2026, 11, 24, 23, 59, 59, 999999)  # noqa: DTZ001


def test_header_with_every_column_is_accepted():
    assert parsed(",".join(COLUMNS)) == ()
