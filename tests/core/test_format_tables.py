"""Tables of plate syntax: patterns, and one clear error for an invalid file."""

import re

import pytest

from plateid.core.format_tables import parse_tables
from plateid.core.formats import EUROPEAN_UNION, shipped_formats, with_tables
from plateid.core.text import CHARSET
from plateid.errors import ConfigError


def only(pattern: str, letters: str = CHARSET[10:]):
    (entry,) = parse_tables(f'[ro]\nletters = "{letters}"\npatterns = ["{pattern}"]', "f")
    return entry


@pytest.mark.parametrize(
    ("pattern", "plate", "shown", "size"),
    [
        ("LL DD", "AB12", "AB 12", 26**2 * 100),
        ("X", "7", "7", 36),
        ("B DDD", "B123", "B 123", 1000),
        ("B|CJ DD", "CJ12", "CJ 12", 200),
        ("L|D D", "L7", "L 7", 20),
        ("D+A|BC+L D", "1BCZ9", "1BCZ 9", 10 * 2 * 26 * 10),
    ],
)
def test_pattern_matches_displays_and_counts_its_plates(pattern, plate, shown, size):
    entry = only(pattern)
    assert (entry.display(plate), entry.size) == (shown, size)
    assert len(plate) in entry.lengths
    assert entry.display(plate + "0") is None


def test_table_restricts_the_letters():
    entry = only("LX", letters="ACE")
    assert [bool(entry.regex.fullmatch(text)) for text in ("AE", "A1", "AB", "B1")] == [
        *(True, True, False, False)
    ]
    assert entry.size == 3 * 13


def test_nested_table_has_own_letters_and_the_same_code():
    text = '[es]\nletters = "BC"\npatterns = ["L"]\n[es.old]\npatterns = ["L"]'
    entries = parse_tables(text, "f")
    assert [(entry.code, entry.size) for entry in entries] == [("es", 2), ("es", 26)]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('[ro]\npatterns = ["B DD", "b DD"]', 2, "ro: pattern \"b DD\": the charset lacks 'b'"),
        ('[ro]\npatterns = ["B-DD"]', 2, "unknown pattern character '-'"),
        ('[ro]\n\npatterns = [\n"B DD",\n"Č DD"\n]', 5, "the charset lacks 'Č'"),
        ('[ro]\npatterns = ["B  DD"]', 2, 'pattern "B  DD": is empty, or has an empty piece'),
        ("[ro]\npatterns = ['A||B DD']", 2, "is empty, or has an empty piece or word"),
        ('[de]\npatterns = ["L"]\n\n[ro]\npatterns = []', 4, "ro: has no list of patterns"),
        ('# x\n[ro]\nletters = "ABC"', 2, "ro: has no list of patterns"),
        ("[ro]\npatterns = [1]", 1, "ro: pattern 1 is not a string"),
        ('[ro]\nletters = "AB1"\npatterns = ["L"]', 2, "ro: letters: 'AB1' are not all of"),
        ('[ro]\npatterns = ["L"]\n[ro.old]\nletters = 5', 3, "ro.old: letters: 5 are not all"),
        ('[ro]\nlettres = "A"\npatterns = ["L"]', 2, "ro.lettres: is neither a table nor"),
        ('[rou]\npatterns = ["L"]', 1, "rou: is not a country's code"),
        ('[de]\npatterns = ["L"]\n[eu]\npatterns = ["L"]', 3, "eu: is not a country's code"),
        ('de.patterns = ["L"]\nro = 3', 2, "ro: is neither a table nor letters or patterns"),
    ],
)
def test_error_names_file_line_and_reason(text, line, reason):
    with pytest.raises(ConfigError, match=f"^my.toml: line {line}: .*{re.escape(reason)}"):
        parse_tables(text, "my.toml")


def test_invalid_toml_is_refused_with_its_line():
    with pytest.raises(ConfigError, match=r"^my.toml: .*line 2"):
        parse_tables("[ro]\npatterns = = 3", "my.toml")


def test_table_of_user_replaces_the_shipped_country():
    formats = with_tables('[ro]\npatterns = ["LLLL"]\n[xx]\npatterns = ["DD"]', "f")
    for region, fits, misfits in (
        ("ro", "ABCD", "B68SPK"),
        ("xx", "12", "AB"),
        ("br", "ABC1D23", ""),
    ):
        expecting = formats.expecting([region], key="k")
        assert expecting.fits(fits)
        assert not expecting.fits(misfits)
    assert shipped_formats().expecting(["ro"], key="k").fits("B68SPK")


def test_supported_countries_have_tables():
    known = {entry.code for entry in shipped_formats().entries}
    assert known >= {*EUROPEAN_UNION, "al", "ar", "au", "ba", "br", "ch", "cn", "gb", "il", "in"}
    assert known >= {"no", "rs", "tr", "ua", "us"}
    assert len(EUROPEAN_UNION) == 27
    assert min(entry.size for entry in shipped_formats().entries) >= 10
