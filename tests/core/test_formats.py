import pytest

from plateid.core.format_tables import COUNTRIES, parse_tables
from plateid.core.formats import Formats, shipped_formats
from plateid.core.records import Region
from plateid.errors import ConfigError


def expecting(*codes: str, strict: bool = False):
    return shipped_formats().expecting(codes, key="--regions", strict=strict)


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("ae", "5 12345"),
        ("al", "AA 123 BB"),
        ("ar", "ABC 123"),
        ("ar", "AB 123 CD"),
        ("at", "W 12345 A"),
        ("au", "ABC 123"),
        ("au-act", "YAB 12C"),
        ("au-sa", "S123 ABC"),
        ("au-tas", "AB 1234"),
        ("ba", "A 12 K 345"),
        ("be", "1 ABC 234"),
        ("bd", "11 1234"),
        ("bg", "CB 1234 AB"),
        ("br", "AYO 9034"),
        ("br", "BRA2E19"),
        ("ca-on", "ABCD 123"),
        ("ch", "ZH 123456"),
        ("ch", "ZH 12345"),
        ("cn", "A D12345"),
        ("cy", "ABC 123"),
        ("cz", "1AB 2345"),
        ("de", "B AB 12"),
        ("de", "M XY 123E"),
        ("dk", "AB 12 345"),
        ("dz", "01234 115 16"),
        ("dz", "001234 115 16"),
        ("ee", "123 ABC"),
        ("eg", "1234"),
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
        ("id", "B 1234 ABC"),
        ("ie", "131 D 12345"),
        ("il", "123 45 678"),
        ("in", "KL 01 CA 2555"),
        ("ir", "12 345 67"),
        ("it", "AB 123 CD"),
        ("jp", "300 12 34"),
        ("ke", "KAB 123C"),
        ("kw", "12 34567"),
        ("lb", "A 123456"),
        ("lt", "ABC 123"),
        ("lu", "AB 1234"),
        ("lv", "AB 1234"),
        ("ma", "12345 6"),
        ("mt", "ABC 123"),
        ("mk", "SK 1234 AB"),
        ("mx", "ABC 123 D"),
        ("mx", "123 ABC"),
        ("ng", "ABC 123 DE"),
        ("nl", "G 123 BD"),
        ("no", "AB 12345"),
        ("nz", "ABC 123"),
        ("pe", "A1B 234"),
        ("pe", "AB 1234"),
        ("ph", "ABC 1234"),
        ("pk", "ABC 1234"),
        ("pl", "WA 12345"),
        ("pt", "AB 12 CD"),
        ("qa", "123456"),
        ("ro", "B 68 SPK"),
        ("ro", "B 123 SPK"),
        ("ro", "CJ 12 ABC"),
        ("rs", "BG 123 AB"),
        ("sa", "1234 ABD"),
        ("se", "ABC 12D"),
        ("si", "LJ AB123"),
        ("sk", "BA 123 AB"),
        ("th", "1 1234"),
        ("tn", "123 4567"),
        ("tr", "34 ABC 12"),
        ("tz", "Z 123 AB"),
        ("ua", "AA 1234 BB"),
        ("us", "ABC 1234"),
        ("us-al", "1AB2345"),
        ("us-ca", "1ABC234"),
        ("us-nv", "123 A45"),
        ("us-ut", "1A2BC"),
        ("uy", "ABC 1234"),
        ("vn", "29 A 12345"),
        ("za", "BC 12 DF GP"),
    ],
)
def test_plate_matches_its_country_and_is_displayed_with_gaps(code, shown):
    formats, plate = expecting(code), shown.replace(" ", "")
    assert formats.fits(plate)
    assert formats.prior(plate) == 1
    assert formats.region_of(plate).code == code[:2]
    assert formats.display(plate, Region(code[:2], 1.0)) == shown


@pytest.mark.parametrize("plate", ["", "XX68SPK", "B68SP", "BB8SPK", "B68SPKK", "B68SQK"])
def test_plate_that_romania_never_issued_matches_no_romanian_pattern(plate):
    assert not expecting("ro").fits(plate)
    assert expecting("ro").region_of(plate) is None
    assert 0 < expecting("ro").prior(plate) < 1


def test_country_with_smallest_matching_pattern_is_most_likely():
    region = shipped_formats().region_of("CJ12ABC")
    assert region.code == "ro"
    assert region.confidence > 0.5
    assert shipped_formats().region_of("LS15EBC").code == "gb"  # though Austria has such plates
    assert shipped_formats().region_of("LLLLLLLLLLLL") is None


def test_country_with_more_vehicles_is_likelier_where_syntax_is_the_same():
    entries = parse_tables('zm.patterns = ["LL D"]\nus.patterns = ["LL D"]', "f")
    for formats in (Formats(entries), Formats(entries[::-1])):
        assert formats.region_of("AB1").code == "us"
        assert formats.region_of("AB1").confidence == pytest.approx(20 / 21)
    assert shipped_formats().region_of("B198FLN").code == "ro"  # Botswana has such plates, too


def test_weighted_countries_have_tables_and_one_weight():
    codes = " ".join(COUNTRIES["fleets"].values()).split()
    assert len(codes) == len(set(codes))
    assert set(codes) <= {entry.code for entry in shipped_formats().entries}


def test_plate_matches_when_one_of_several_expected_countries_issues_it():
    both = expecting("ro", "br")
    assert both.fits("B68SPK") and both.fits("BRA2E19")
    assert not both.fits("LS15EBC")


def test_expected_country_gains_confidence_and_unexpected_one_is_never_returned():
    anywhere, here = shipped_formats(), expecting("si", "lt")
    assert here.region_of("ABC123").code == "lt"
    assert here.region_of("ABC123").confidence < 1
    assert here.region_of("ABC123").confidence > anywhere.region_of("ABC123").confidence
    assert here.region_of("LS15EBC") is None


def test_text_that_matches_no_pattern_is_displayed_unchanged():
    assert shipped_formats().display("GWAGEN", None) == "GWAGEN"
    assert shipped_formats().display("GWAGEN", Region("gb", 0.9)) == "GWAGEN"


def test_region_codes_are_normalised_and_eu_is_expanded():
    assert expecting("RO", " gb", "").regions == ("ro", "gb")
    assert expecting("uk", "gb").regions == ("gb",)
    assert {"ro", "de", "fr"} <= set(expecting("eu").regions)
    assert expecting("").regions == ()


def test_state_is_a_region_and_its_country_means_all_states():
    california, states = expecting("us-ca"), expecting("us")
    assert california.fits("7ABC123") and states.fits("7ABC123")
    assert not california.fits("ABC1234") and states.fits("ABC1234")
    assert california.region_of("ABC1234") is None
    assert california.region_of("7ABC123").code == "us"
    with pytest.raises(ConfigError, match="unknown region us-xx; known: us us-ak us-al us-ar"):
        expecting("us-xx")


def test_text_of_the_owners_choice_is_little_less_likely_where_many_have_one():
    assert expecting("us").prior("GWAGEN0") > expecting("ro").prior("GWAGEN0")


def test_unknown_region_and_strict_without_region_are_refused():
    with pytest.raises(ConfigError, match="--regions: unknown region xx; known: eu ad ae al"):
        expecting("ro", "xx")
    with pytest.raises(ConfigError, match="--regions: strict needs at least one region"):
        expecting(strict=True)
