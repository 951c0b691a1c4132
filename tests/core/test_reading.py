"""Soft and strict country syntax chooses among the texts of a read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plateid.core.formats import shipped_formats
from plateid.core.reading import Reading, read_detections, single_reading
from plateid.core.records import Detection, PlateRead
from plateid.core.text import CHARSET
from tests.core.test_text import positions


def reading(text: str, *codes: str, strict: bool = False, probability: float = 0.97) -> Reading:
    formats = shipped_formats().expecting(codes, key="regions", strict=strict)
    return single_reading(PlateRead(positions(text, probability=probability), 0.8, 30), formats)


def uncertain(text: str, at: int, other: str) -> PlateRead:
    """Returns a read in which `other` is nearly as likely as the character at `at`."""
    rows = positions(text, probability=0.97)
    rows[at] = (positions(text[at], probability=0.6)[0] + positions(other, probability=0.5)[0]) / 2
    return PlateRead(rows, 0.8, 30)


@pytest.mark.parametrize(
    ("read", "region", "plate"),
    [
        ("B6BSPK", "ro", "B6BSPK"),  # B and 8 differ in a good crop
        ("CJI2ABC", "ro", "CJ12ABC"),
        ("B01SPK", "ro", "B01SPK"),
        ("BO1SPK", "ro", "B01SPK"),
        ("OKLO8I7", "br", "OKL0817"),
        ("0KL0817", "br", "OKL0817"),
        ("LSI5EBC", "gb", "LS15EBC"),
        ("GWAGEN", "gb", "GWAGEN"),
        ("PAPL80S", "us", "PAPL80S"),  # a plate of the owner's choice, O and 0 differ
        ("PO0R", "us", "PO0R"),
        ("O1234 I15 16", "dz", "0123411516"),
    ],
)
def test_soft_syntax_replaces_confusable_characters(read, region, plate):
    read = read.replace(" ", "")
    found = reading(read, region)
    assert (found.plate, found.plate_raw) == (plate, read)
    assert found.candidates[0].plate == plate
    assert len(found.char_confidences) == len(plate)


def test_soft_syntax_restores_character_of_low_probability_blank():
    rows = positions("CJ12ABC", probability=0.97)
    rows[2] = (positions("1", probability=0.9)[0] + np.eye(1, rows.shape[1])[0] * 1.1) / 2
    found = single_reading(
        PlateRead(rows, 0.8, 30), shipped_formats().expecting(["ro"], key="regions")
    )
    assert (found.plate_raw, found.plate) == ("CJ2ABC", "CJ12ABC")


@pytest.mark.parametrize(
    ("read", "region", "plate"),
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
def test_strict_syntax_replaces_every_confusable_character(read, region, plate):
    found = reading(read, region, strict=True)
    assert (found.plate, found.plate_raw) == (plate, read)
    assert found.confidence < reading(plate, region, strict=True).confidence


def test_soft_syntax_decides_an_uncertain_character():
    read = uncertain("B6BSPK", 2, "8")
    formats = shipped_formats().expecting(["ro"], key="regions")
    for found in (single_reading(read), single_reading(read, formats)):
        assert (found.plate, found.plate_raw) == ("B68SPK", "B6BSPK")
    assert single_reading(read, formats).confidence > single_reading(read).confidence


def test_strict_syntax_rejects_text_and_keeps_plate_raw():
    found = reading("PARKING", "ro", strict=True)
    assert (found.plate, found.plate_raw, found.confidence) == ("", "PARKING", 0.0)
    assert (found.candidates, found.region) == ((), None)
    assert reading("PARKING", "ro").plate == "PARKING"


def test_strict_syntax_accepts_only_the_expected_countries():
    for plate in ("B68SPK", "BRA2E19"):
        assert reading(plate, "ro", "br", strict=True).plate == plate
    assert reading("LS15EBC", "ro", "br", strict=True).plate == ""


def test_text_stays_unchanged_without_regions():
    assert reading("B0ISPK").plate == "B0ISPK"
    assert reading("LSI5EBC").plate == "LSI5EBC"


LETTERS_FOR_DIGITS = str.maketrans("01", "OI")
DIGIT_PLATES = (
    *(("dz", plate) for plate in ("0011011001", "00011011010", "0123411516", "10101110101")),
    *(
        ("bd", "110011"),
        ("bh", "100110"),
        ("il", "10110110"),
        ("il", "0110110"),
        ("ir", "1010110"),
    ),
    *(("jo", "1010101"), ("jp", "3001011"), ("kr", "1010110"), ("kw", "1010110"), ("qa", "101011")),
    *(("th", "11010"), ("tn", "1010110"), ("ma", "1010110")),
)


@pytest.mark.parametrize(("country", "plate"), DIGIT_PLATES)
def test_letters_become_digits_where_plates_have_digits_only(country, plate):
    for read in (plate.translate(LETTERS_FOR_DIGITS), plate.replace("0", "O")):
        for strict in (False, True):
            found = reading(read, country, strict=strict)
            assert (found.plate, found.plate_raw) == (plate, read)
            assert found.confidence < reading(plate, country, strict=strict).confidence


@pytest.mark.parametrize("plate", [plate for _, plate in DIGIT_PLATES if len(plate) > 9])
def test_letters_among_digits_become_digits_without_regions(plate):
    for read in (plate.translate(LETTERS_FOR_DIGITS), plate.replace("0", "O")):
        found = reading(read)
        assert (found.plate, found.plate_raw) == (plate, read)
        assert found.confidence < reading(plate).confidence


@pytest.mark.parametrize(("country", "plate"), DIGIT_PLATES[:4])
@pytest.mark.parametrize("share", [0.4, 0.6])
def test_near_probabilities_of_letter_and_digit_give_digits(country, plate, share):
    letters = positions(plate.translate(LETTERS_FOR_DIGITS), probability=0.97)
    rows = share * positions(plate, probability=0.97) + (1 - share) * letters
    shipped, own = shipped_formats(), {"key": "regions"}
    for formats in (
        shipped,
        shipped.expecting([country], **own),
        shipped.expecting([country], strict=True, **own),
    ):
        assert single_reading(PlateRead(rows, 0.8, 30), formats).plate == plate


@pytest.mark.parametrize("order", [1, -1])
def test_single_character_ranks_after_a_plate_that_is_read_with_less_confidence(order):
    detections = [Detection((x, 0.0, x + 9.0, 3.0), 0.9) for x in (0.0, 50.0)]
    reads = [
        PlateRead(positions("B68SPK", probability=0.85), 0.8, 30),
        PlateRead(positions("X", probability=0.99), 0.8, 30),
    ][::order]
    found = read_detections(None, detections, lambda *_: reads)
    assert [each.text for each in found] == ["B68SPK", "X"]


def test_matching_plate_stays_though_confusable_one_matches_too():
    assert reading("ABO1234", "br", "nl").plate == "ABO1234"


@settings(max_examples=80)
@given(
    st.text(alphabet=CHARSET, max_size=10),
    st.sampled_from([(), ("ro",), ("us", "br"), ("eu",)]),
    st.floats(0.1, 0.999),
)
def test_candidate_confidences_sum_to_one_at_most_and_best_is_first(text, codes, probability):
    for strict in {False, bool(codes)}:
        found = reading(text, *codes, strict=strict, probability=probability)
        shares = [candidate.confidence for candidate in found.candidates]
        assert shares == sorted(shares, reverse=True)
        assert 0 <= sum(shares) <= 1 + 1e-6
        assert np.isfinite(shares).all()
        assert (found.plate, found.confidence) == (
            (found.candidates[0].plate, shares[0]) if shares else ("", 0.0)
        )
