import pytest

from plateid.core.formats import display, formats, parse_regions, prior, region_of
from plateid.core.records import Region
from plateid.errors import ConfigError


@pytest.mark.parametrize(
    ("code", "plate", "shown"),
    [
        ("ro", "B68SPK", "B 68 SPK"),
        ("ro", "CJ12ABC", "CJ 12 ABC"),
        ("gb", "LS15EBC", "LS 15 EBC"),
        ("br", "AYO9034", "AYO 9034"),
        ("br", "BRA2E19", "BRA2E19"),
        ("es", "1234BCD", "1234 BCD"),
        ("ch", "ZH123456", "ZH 123456"),
        ("de", "BAB1234", "BAB 1234"),
        ("ua", "AA1234BB", "AA 1234 BB"),
    ],
)
def test_plates_of_a_country_fit_its_table_and_get_its_gaps(code, plate, shown):
    assert region_of(plate, [code]) is not None
    assert display(plate, Region(code, 1.0)).replace(" ", "") == plate
    if code != "de":  # BA B 1234 and B AB 1234 are both right
        assert display(plate, Region(code, 1.0)) == shown


@pytest.mark.parametrize("plate", ["", "XX68SPK", "B68SP", "BB8SPK", "B68SPKK"])
def test_what_romania_never_issued_does_not_fit(plate):
    assert region_of(plate, ["ro"]) is None
    assert prior(plate, ["ro"]) < 1


def test_the_tightest_table_that_fits_is_the_likeliest_country():
    assert region_of("CJ12ABC").code == "ro"
    assert region_of("CJ12ABC").confidence > 0.5
    assert region_of("LLLLLLLLLLLL") is None


def test_a_plate_of_elsewhere_is_not_claimed_with_certainty():
    assert region_of("LS15EBC", ["si", "ro"]).code == "si"
    assert region_of("LS15EBC", ["si", "ro"]).confidence <= 0.5


def test_a_text_without_region_is_shown_as_it_is():
    assert display("GWAGEN", None) == "GWAGEN"


def test_every_pattern_names_a_country_and_is_counted():
    assert len(formats()) > 100
    assert all(len(f.code) == 2 and f.size >= 10 for f in formats())


def test_regions_are_parsed_and_the_union_is_spelt_out():
    assert parse_regions(["RO", " gb"], key="k") == ("ro", "gb")
    assert parse_regions(["uk"], key="k") == ("gb",)
    assert {"ro", "de", "fr"} <= set(parse_regions(["eu"], key="k"))
    with pytest.raises(ConfigError, match="--regions: unknown region xx"):
        parse_regions(["ro", "xx"], key="--regions")
