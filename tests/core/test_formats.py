import pytest

from plateid.core.formats import shipped_formats
from plateid.core.records import Region
from plateid.errors import ConfigError


def expecting(*codes: str, strict: bool = False):
    return shipped_formats().expecting(codes, key="--regions", strict=strict)


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("al", "AA 123 BB"),
        ("ar", "ABC 123"),
        ("ar", "AB 123 CD"),
        ("at", "W 12345 A"),
        ("au", "ABC 123"),
        ("ba", "A 12 K 345"),
        ("be", "1 ABC 234"),
        ("bg", "CB 1234 AB"),
        ("br", "AYO 9034"),
        ("br", "BRA2E19"),
        ("ch", "ZH 123456"),
        ("ch", "ZH 12345"),
        ("cn", "A D12345"),
        ("cy", "ABC 123"),
        ("cz", "1AB 2345"),
        ("de", "B AB 12"),
        ("de", "M XY 123E"),
        ("dk", "AB 12 345"),
        ("ee", "123 ABC"),
        ("es", "1234 BCD"),
        ("es", "M 1234 AB"),
        ("fi", "ABC 123"),
        ("fr", "AB 123 CD"),
        ("fr", "1234 AB 75"),
        ("gb", "LS 15 EBC"),
        ("gb", "AIL 1234"),
        ("gr", "ABE 1234"),
        ("hr", "ZG 1234 AB"),
        ("hu", "AA BB 123"),
        ("hu", "ABC 123"),
        ("ie", "131 D 12345"),
        ("il", "123 45 678"),
        ("in", "KL 01 CA 2555"),
        ("it", "AB 123 CD"),
        ("lt", "ABC 123"),
        ("lu", "AB 1234"),
        ("lv", "AB 1234"),
        ("mt", "ABC 123"),
        ("nl", "G 123 BD"),
        ("no", "AB 12345"),
        ("pl", "WA 12345"),
        ("pt", "AB 12 CD"),
        ("ro", "B 68 SPK"),
        ("ro", "B 123 SPK"),
        ("ro", "CJ 12 ABC"),
        ("rs", "BG 123 AB"),
        ("se", "ABC 12D"),
        ("si", "LJ AB123"),
        ("sk", "BA 123 AB"),
        ("tr", "34 ABC 12"),
        ("ua", "AA 1234 BB"),
        ("us", "ABC 1234"),
    ],
)
def test_plates_of_a_country_fit_its_table_and_get_its_gaps(code, shown):
    formats, plate = expecting(code), shown.replace(" ", "")
    assert formats.fits(plate)
    assert formats.prior(plate) == 1
    assert formats.region_of(plate).code == code
    assert formats.display(plate, Region(code, 1.0)) == shown


@pytest.mark.parametrize("plate", ["", "XX68SPK", "B68SP", "BB8SPK", "B68SPKK", "B68SQK"])
def test_what_romania_never_issued_does_not_fit(plate):
    assert not expecting("ro").fits(plate)
    assert expecting("ro").region_of(plate) is None
    assert 0 < expecting("ro").prior(plate) < 1


def test_the_tightest_table_that_fits_is_the_likeliest_country():
    region = shipped_formats().region_of("CJ12ABC")
    assert region.code == "ro"
    assert region.confidence > 0.5
    assert shipped_formats().region_of("LLLLLLLLLLLL") is None


def test_of_several_countries_expected_one_that_fits_is_enough():
    both = expecting("ro", "br")
    assert both.fits("B68SPK") and both.fits("BRA2E19")
    assert not both.fits("LS15EBC")


def test_a_country_that_is_expected_is_surer_and_one_that_is_not_is_never_told():
    anywhere, here = shipped_formats(), expecting("si", "lt")
    assert here.region_of("ABC123").code == "lt"
    assert here.region_of("ABC123").confidence < 1
    assert here.region_of("ABC123").confidence > anywhere.region_of("ABC123").confidence
    assert here.region_of("LS15EBC", {"gb": 1.0}) is None


@pytest.mark.parametrize(
    ("plate", "seen", "code"),
    [
        ("ABC123", {"lt": 0.9, "": 0.1}, "lt"),
        ("ABC123", {"fi": 0.9, "": 0.1}, "fi"),
        ("GWAGEN", {"gb": 0.9, "": 0.1}, "gb"),
        ("GWAGEN", {"gb": 0.3, "": 0.7}, None),
        ("GWAGEN", {"": 1.0}, None),
        ("CJ12ABC", {"": 1.0}, "ro"),
        ("CJ12ABC", {"xx": 0.5, "": 0.5}, "ro"),
    ],
)
def test_sight_decides_where_syntax_is_silent_and_syntax_where_sight_is(plate, seen, code):
    region = shipped_formats().region_of(plate, seen)
    assert (region and region.code) == code


def test_where_sight_and_syntax_contradict_each_other_the_country_is_doubtful():
    agreed = shipped_formats().region_of("CJ12ABC", {"ro": 0.98, "de": 0.01, "": 0.01})
    contrary = shipped_formats().region_of("CJ12ABC", {"ro": 1e-5, "de": 1 - 1e-5})
    assert agreed == Region("ro", pytest.approx(1, abs=0.01))
    assert contrary.code in {"ro", "de"}
    assert contrary.confidence < 0.9


def test_a_text_without_region_and_one_that_its_region_does_not_issue_are_shown_as_they_are():
    assert shipped_formats().display("GWAGEN", None) == "GWAGEN"
    assert shipped_formats().display("GWAGEN", Region("gb", 0.9)) == "GWAGEN"


def test_regions_are_codes_and_the_union_is_spelt_out():
    assert expecting("RO", " gb", "").regions == ("ro", "gb")
    assert expecting("uk", "gb").regions == ("gb",)
    assert {"ro", "de", "fr"} <= set(expecting("eu").regions)
    assert expecting("").regions == ()


def test_an_unknown_region_and_strictness_about_nothing_are_refused():
    with pytest.raises(ConfigError, match="--regions: unknown region xx; known: eu ad al ar"):
        expecting("ro", "xx")
    with pytest.raises(ConfigError, match="--regions: strict needs at least one region"):
        expecting(strict=True)
