from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plateid.core.formats import shipped_formats
from plateid.core.fusion import Fusion, align, read_weight
from plateid.core.reading import fused_reading, single_reading
from plateid.core.records import PlateRead
from plateid.core.text import CHARSET, best_text
from tests.core.test_text import positions

plates = st.text(alphabet=CHARSET, min_size=4, max_size=8)


def read(
    text: str, *, probability: float = 0.9, sharpness: float = 0.8, height: float = 30
) -> PlateRead:
    return PlateRead(positions(text, probability=probability), sharpness, height)


def fused(*reads: PlateRead) -> Fusion:
    fusion = Fusion()
    for each in reads:
        fusion.add(each)
    return fusion


def test_reads_without_text_give_an_empty_reading():
    reading = fused_reading(fused(read(""), read("")), shipped_formats())
    assert (reading.plate, reading.confidence) == ("", 0.0)


@given(plates)
def test_equal_reads_raise_the_confidence(text):
    one, many = (
        single_reading(read(text)),
        fused_reading(fused(*[read(text)] * 6), shipped_formats()),
    )
    assert one.plate_raw == many.plate_raw == text
    assert many.confidence > one.confidence
    assert (many.reads, many.agreeing_reads) == (6, 6)


@settings(max_examples=60)
@given(plates, st.data())
def test_majority_outvotes_wrong_character_in_any_order(text, data):
    wrong = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from([c for c in CHARSET if c != text[wrong]]))
    bad = read(text[:wrong] + other + text[wrong + 1 :])
    order = data.draw(st.permutations([read(text), read(text), bad]))
    assert best_text(fused(*order).positions()) == text


@pytest.mark.parametrize("odd", ["B68SPK1", "8B68SPK", "B68SP", "68SPK", "B6SPK"])
def test_extra_or_missing_character_is_outvoted(odd):
    for position in range(3):
        reads = [read("B68SPK"), read("B68SPK")]
        reads.insert(position, read(odd))
        assert best_text(fused(*reads).positions()) == "B68SPK"


def test_invented_character_does_not_divide_later_reads():
    far = [read("TKXM349", probability=0.7, height=14)] * 20
    near = [read("7KXH349", height=24)] * 12
    odd = read("7TKXM349", probability=0.7, height=14)
    for reads in ([*far, *near], [*far, odd, *near]):
        assert best_text(fused(*reads).positions()) == "7KXH349"


def perhaps(text: str, at: int, *, missed: float = 0.4) -> PlateRead:
    """Returns a read with a low-probability blank instead of the character at `at`."""
    rows = positions(text)
    rows[at] *= missed
    rows[at, 0] += 1 - missed
    return replace(read(text), probabilities=rows)


@pytest.mark.parametrize("share", [0.06, 0.2])
def test_low_probability_blank_removes_no_other_character(share):
    other = perhaps("B6XSPK", 2, missed=share)
    for reads in ((read("B68SPK"), other), (other, read("B68SPK"))):
        cuts = Fusion(keep_blanks=True)
        for each in reads:
            cuts.add(each)
        assert best_text(cuts.positions()) == "B68SPK"


def test_low_probability_blank_of_one_crop_supports_character_of_another():
    one, other = perhaps("B68SPK", 0), perhaps("B68SPK", 3)
    assert (best_text(one.probabilities), best_text(other.probabilities)) == ("68SPK", "B68PK")
    cuts = Fusion(keep_blanks=True)
    for cut in (one, other):
        cuts.add(cut)
    assert best_text(cuts.positions()) == "B68SPK"


def test_low_probability_blanks_of_a_pass_do_not_misalign_it():
    """The first reads of an approaching plate miss different characters."""
    far_away = [perhaps("TKX13498", n, missed=0.2) for n in range(8)] * 3
    assert (
        best_text(fused(*far_away, *[read("7KXH349", sharpness=1)] * 40).positions()) == "7KXH349"
    )


def test_low_probability_blank_lowers_confidence_and_alone_gives_no_text():
    assert (
        single_reading(perhaps("B68SPK", 0)).confidence < single_reading(read("68SPK")).confidence
    )
    blanks = perhaps("B", 0)
    assert single_reading(blanks).plate == ""
    assert (fused(blanks, read("B68SPK")).positions() == fused(read("B68SPK")).positions()).all()


def test_sharp_and_large_crop_outvotes_more_blurred_and_small_ones():
    blurred = [read("AB123", sharpness=0.05, height=8)] * 2
    assert best_text(fused(*blurred, read("AB128")).positions()) == "AB128"
    assert read_weight(read("A")) > 3 * read_weight(blurred[0])


def test_one_uncertain_character_lowers_the_whole_confidence():
    uncertain = positions("B68SPK", probability=0.99)
    uncertain[2] = positions("8", probability=0.4)[0]
    reading = single_reading(PlateRead(uncertain, 0.8, 30))
    assert reading.confidence < 0.5
    assert min(reading.char_confidences) == reading.char_confidences[2]


def test_alignment_covers_both_sides_once_and_in_order():
    path = align(positions("AB12"), positions("B123"))
    assert [a for a, _ in path if a is not None] == [0, 1, 2, 3]
    assert [b for _, b in path if b is not None] == [0, 1, 2, 3]
    assert (1, 0) in path and (None, 3) in path


def test_fusion_of_1000_different_reads_stays_bounded_and_normalised():
    fusion = Fusion()
    rng = np.random.default_rng(0)
    for _ in range(1000):
        fusion.add(read("".join(rng.choice(list(CHARSET), 7))))
    assert np.allclose(fusion.positions().sum(axis=1), 1, atol=1e-3)
    assert len(fusion.positions()) < 100


def test_confidence_of_a_single_confident_read_stays_high():
    assert single_reading(read("B68SPK", probability=0.999)).confidence > 0.9
