"""Syntax chooses among what the slots may say, softly or strictly; what was read is kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plateid.core.formats import shipped_formats
from plateid.core.reading import read_once
from plateid.core.records import PlateRead, Reading
from plateid.core.text import CHARSET
from tests.core.test_text import slots


def reading(text: str, *codes: str, strict: bool = False, sure: float = 0.97) -> Reading:
    formats = shipped_formats().expecting(codes, key="regions", strict=strict)
    return read_once(PlateRead(slots(text, sure=sure), 0.8, 30), formats)


def doubtful(text: str, at: int, other: str) -> PlateRead:
    """A read that holds `other` for nearly as likely as the character at `at`."""
    rows = slots(text, sure=0.97)
    rows[at] = (slots(text[at], sure=0.6)[0] + slots(other, sure=0.5)[0]) / 2
    return PlateRead(rows, 0.8, 30)


@pytest.mark.parametrize(
    ("said", "region", "plate"),
    [
        ("B6BSPK", "ro", "B6BSPK"),  # a sure reader: B and 8 are not the same glyph
        ("CJI2ABC", "ro", "CJ12ABC"),
        ("B01SPK", "ro", "B01SPK"),
        ("BO1SPK", "ro", "B01SPK"),
        ("OKLO8I7", "br", "OKL0817"),
        ("0KL0817", "br", "OKL0817"),
        ("LSI5EBC", "gb", "LS15EBC"),
        ("GWAGEN", "gb", "GWAGEN"),
    ],
)
def test_soft_syntax_respells_what_fonts_draw_alike(said, region, plate):
    found = reading(said, region)
    assert (found.plate, found.plate_raw) == (plate, said)
    assert found.candidates[0].plate == plate
    assert len(found.char_confidences) == len(plate)


def test_soft_syntax_keeps_a_character_that_the_reader_nearly_left_out():
    rows = slots("CJ12ABC", sure=0.97)
    rows[2] = (slots("1", sure=0.9)[0] + np.eye(1, rows.shape[1])[0] * 1.1) / 2
    found = read_once(PlateRead(rows, 0.8, 30), shipped_formats().expecting(["ro"], key="regions"))
    assert (found.plate_raw, found.plate) == ("CJ2ABC", "CJ12ABC")


@pytest.mark.parametrize(
    ("said", "region", "plate"),
    [
        ("B6BSPK", "ro", "B68SPK"),
        ("868SPK", "ro", "B68SPK"),
        ("CJ12A8C", "ro", "CJ12ABC"),
        ("CJ1ZABC", "ro", "CJ12ABC"),
        ("CJ1SABC", "ro", "CJ15ABC"),
        ("CJ1GABC", "ro", "CJ16ABC"),
        ("CJ1DABC", "ro", "CJ10ABC"),
        ("CJ1QABC", "ro", "CJ10ABC"),
    ],
)
def test_strict_syntax_reaches_every_look_alike(said, region, plate):
    found = reading(said, region, strict=True)
    assert (found.plate, found.plate_raw) == (plate, said)
    assert found.confidence < reading(plate, region, strict=True).confidence


def test_a_doubtful_character_is_decided_by_soft_syntax():
    read = doubtful("B6BSPK", 2, "8")
    formats = shipped_formats().expecting(["ro"], key="regions")
    for found in (read_once(read), read_once(read, formats)):
        assert (found.plate, found.plate_raw) == ("B68SPK", "B6BSPK")
    assert read_once(read, formats).confidence > read_once(read).confidence


def test_strict_syntax_refuses_a_text_and_tells_what_was_read():
    found = reading("PARKING", "ro", strict=True)
    assert (found.plate, found.plate_raw, found.confidence) == ("", "PARKING", 0.0)
    assert (found.candidates, found.region) == ((), None)
    assert reading("PARKING", "ro").plate == "PARKING"


def test_strict_syntax_allows_each_of_several_countries_and_no_other():
    for plate in ("B68SPK", "BRA2E19"):
        assert reading(plate, "ro", "br", strict=True).plate == plate
    assert reading("LS15EBC", "ro", "br", strict=True).plate == ""


def test_without_regions_nothing_is_respelt():
    assert reading("B0ISPK").plate == "B0ISPK"
    assert reading("LSI5EBC").plate == "LSI5EBC"


def test_a_plate_that_fits_is_left_alone_though_a_look_alike_fits_too():
    assert reading("ABO1234", "br", "nl").plate == "ABO1234"


@settings(max_examples=80)
@given(
    st.text(alphabet=CHARSET, max_size=10),
    st.sampled_from([(), ("ro",), ("us", "br"), ("eu",)]),
    st.floats(0.1, 0.999),
)
def test_confidences_are_shares_of_one_and_the_best_comes_first(text, codes, sure):
    for strict in {False, bool(codes)}:
        found = reading(text, *codes, strict=strict, sure=sure)
        shares = [candidate.confidence for candidate in found.candidates]
        assert shares == sorted(shares, reverse=True)
        assert 0 <= sum(shares) <= 1 + 1e-6
        assert np.isfinite(shares).all()
        assert (found.plate, found.confidence) == (
            (found.candidates[0].plate, shares[0]) if shares else ("", 0.0)
        )
