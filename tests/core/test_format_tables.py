"""Tables of plate syntax: patterns, and one clear error for an invalid file."""

import re
import tomllib
from importlib import resources

import pytest

from plateid.core.format_tables import TO_SHAPE, parse_tables
from plateid.core.formats import EUROPEAN_UNION, shipped_formats, with_tables
from plateid.core.text import CHARSET
from plateid.errors import ConfigError

SUPPORTED = (
    "ae al ar au ba bd br ca ch cl cn co dz eg gb ge id il in ir jp ke kw ma me mk mx ng no nz pe "
    "ph pk qa rs sa th tn tr ua us uy vn xk za"
)
"""Countries beside the European Union whose plate syntax must be known."""


def entries(pattern: str, letters: str = CHARSET[10:]):
    return parse_tables(f'[ro]\nletters = "{letters}"\npatterns = ["{pattern}"]', "f")


def matching(plate: str, pattern: str, letters: str = CHARSET[10:]):
    shape = plate.translate(TO_SHAPE)
    return [e for e in entries(pattern, letters) if e.shape == shape and e.matches(plate)]


@pytest.mark.parametrize(
    ("pattern", "plate", "shown", "size"),
    [
        ("LL DD", "AB12", "AB 12", 26**2 * 100),
        ("X", "7", "7", 36),
        ("B DDD", "B123", "B 123", 1000),
        ("B|CJ DD", "CJ12", "CJ 12", 100),
        ("L|D D", "L7", "L 7", 20),
        ("D+A|BC+L D", "1BCZ9", "1BCZ 9", 10 * 26 * 10),
        ("[1-9]D{2,3} L", "123A", "123 A", 9 * 100 * 26),
        ("[A-CX]{2} 0", "AX0", "AX 0", 16),
    ],
)
def test_pattern_matches_displays_and_counts_its_plates(pattern, plate, shown, size):
    (entry,) = matching(plate, pattern)
    assert (entry.display(plate), entry.size) == (shown, size)
    assert not matching(plate + "0", pattern)


@pytest.mark.parametrize("plate", ["0A", "1D", "12E", "A"])
def test_class_and_repetition_limit_the_texts(plate):
    assert matching("1A", "[1-9]{1,2}[A-C]") and matching("99C", "[1-9]{1,2}[A-C]")
    assert not matching(plate, "[1-9]{1,2}[A-C]")


def test_table_restricts_the_letters():
    fits = [bool(matching(text, "LX", letters="ACE")) for text in ("AE", "A1", "AB", "B1")]
    assert fits == [True, True, False, False]
    assert {entry.size for entry in entries("LX", letters="ACE")} == {3 * 13}


def test_nested_table_has_own_letters_and_the_same_code():
    text = '[es]\nletters = "BC"\npatterns = ["L"]\n[es.old]\npatterns = ["L"]'
    found = [(entry.code, entry.table, entry.size) for entry in parse_tables(text, "f")]
    assert found == [("es", "es", 2), ("es", "es.old", 26)]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('[ro]\npatterns = ["B DD", "b DD"]', 2, "ro: pattern \"b DD\": the charset lacks 'b'"),
        ('[ro]\npatterns = ["B-DD"]', 2, "unknown pattern character '-'"),
        ('[ro]\n\npatterns = [\n"B DD",\n"Č DD"\n]', 5, "the charset lacks 'Č'"),
        ('[ro]\npatterns = ["B  DD"]', 2, 'pattern "B  DD": is empty, or has an empty piece'),
        ("[ro]\npatterns = ['A||B DD']", 2, "is empty, or has an empty piece, word or class"),
        ("[ro]\npatterns = ['L[]D']", 2, "is empty, or has an empty piece, word or class"),
        ("[ro]\npatterns = ['[9-1]D']", 2, "the range 9-1 is empty"),
        ("[ro]\npatterns = ['[1-']", 2, "unknown pattern character '['"),
        ("[ro]\npatterns = ['L{3,2}']", 2, "'L{3,2}' repeats 1 to 12 times, least first"),
        ("[ro]\npatterns = ['L{0,2}']", 2, "'L{0,2}' repeats 1 to 12 times, least first"),
        ("[ro]\npatterns = ['LLLL D{9}']", 2, "is longer than 12 characters"),
        ("[ro]\npatterns = ['L{1,9}D{1,9}L{1,9}']", 2, "more than 200 combinations of lengths"),
        ('[ro]\npatterns = ["L", "D", "L"]', 2, 'pattern "L" is listed twice'),
        ('[ro]\nsource = 3\npatterns = ["L"]', 1, "ro: source is not a string"),
        ('[de]\npatterns = ["L"]\n\n[ro]\npatterns = []', 4, "ro: has no list of patterns"),
        ('# x\n[ro]\nletters = "ABC"', 2, "ro: has no list of patterns"),
        ("[ro]\npatterns = [1]", 1, "ro: pattern 1 is not a string"),
        ('[ro]\nletters = "AB1"\npatterns = ["L"]', 2, "ro: letters: 'AB1' are not all of"),
        ('[ro]\npatterns = ["L"]\n[ro.old]\nletters = 5', 3, "ro.old: letters: 5 are not all"),
        ('[ro]\nlettres = "A"\npatterns = ["L"]', 2, "ro.lettres: is neither a table nor"),
        ('[us]\nak.patterns = ["L"]\nal.patterns = ["-"]', 3, 'us.al: pattern "-"'),
        ('[rou]\npatterns = ["L"]', 1, "rou: is not a country's code"),
        ('[zz]\npatterns = ["L"]', 1, "zz: is not a country's code"),
        ('[de]\npatterns = ["L"]\n[eu]\npatterns = ["L"]', 3, "eu: is not a country's code"),
        ('de.patterns = ["L"]\nro = 3', 2, "ro: is neither a table nor letters, patterns or"),
    ],
)
def test_error_names_file_line_and_reason(text, line, reason):
    with pytest.raises(ConfigError, match=f"^my.toml: line {line}: .*{re.escape(reason)}"):
        parse_tables(text, "my.toml")


def test_country_that_is_listed_twice_is_refused():
    with pytest.raises(ConfigError, match=r"^my.toml: .*ro.* twice"):
        parse_tables('[ro]\npatterns = ["L"]\n[ro]\npatterns = ["D"]', "my.toml")


def test_invalid_toml_is_refused_with_its_line():
    with pytest.raises(ConfigError, match=r"^my.toml: .*line 2"):
        parse_tables("[ro]\npatterns = = 3", "my.toml")


def test_table_of_user_replaces_the_shipped_country():
    formats = with_tables('[ro]\npatterns = ["LLLL"]\n[fo]\npatterns = ["DD"]', "f")
    for region, fits, misfits in (
        ("ro", "ABCD", "B68SPK"),
        ("fo", "12", "AB"),
        ("br", "ABC1D23", ""),
    ):
        expecting = formats.expecting([region], key="k")
        assert expecting.fits(fits)
        assert not expecting.fits(misfits)
    assert shipped_formats().expecting(["ro"], key="k").fits("B68SPK")


def test_supported_countries_have_tables_with_a_source():
    known = {entry.code for entry in shipped_formats().entries}
    assert known >= {*EUROPEAN_UNION, *SUPPORTED.split()}
    assert len(EUROPEAN_UNION) == 27
    tables = tomllib.loads(resources.files("plateid.core").joinpath("formats.toml").read_text())
    assert [code for code, table in tables.items() if not table.get("source")] == []


def test_states_and_provinces_have_tables():
    tables = {entry.table for entry in shipped_formats().entries}
    assert len([t for t in tables if t.startswith("us.")]) == 51
    assert len([t for t in tables if t.startswith("ca.")]) == 13
    assert len([t for t in tables if t.startswith("au.")]) == 8
