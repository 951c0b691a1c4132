from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plateid.core.formats import shipped_formats
from plateid.core.fusion import Fusion, align, read_weight
from plateid.core.reading import read_of, read_once
from plateid.core.records import PlateRead
from plateid.core.text import CHARSET, slots_text
from tests.core.test_text import slots

plates = st.text(alphabet=CHARSET, min_size=4, max_size=8)


def read(text: str, *, sure: float = 0.9, sharpness: float = 0.8, height: float = 30) -> PlateRead:
    return PlateRead(slots(text, sure=sure), sharpness, height)


def fused(*reads: PlateRead) -> Fusion:
    fusion = Fusion()
    for each in reads:
        fusion.add(each)
    return fusion


def test_nothing_read_is_an_empty_reading_without_confidence():
    reading = read_of(fused(read(""), read("")), shipped_formats())
    assert (reading.plate, reading.confidence) == ("", 0.0)


@given(plates)
def test_equal_reads_say_the_same_and_are_surer_than_one(text):
    one, many = read_once(read(text)), read_of(fused(*[read(text)] * 6), shipped_formats())
    assert one.plate_raw == many.plate_raw == text
    assert many.confidence > one.confidence
    assert (many.reads, many.agreeing_reads) == (6, 6)


@settings(max_examples=60)
@given(plates, st.data())
def test_the_majority_outvotes_a_wrong_character_in_any_order(text, data):
    wrong = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from([c for c in CHARSET if c != text[wrong]]))
    bad = read(text[:wrong] + other + text[wrong + 1 :])
    order = data.draw(st.permutations([read(text), read(text), bad]))
    assert slots_text(fused(*order).slots()) == text


@pytest.mark.parametrize("odd", ["B68SPK1", "8B68SPK", "B68SP", "68SPK", "B6SPK"])
def test_an_extra_or_missing_character_is_outvoted(odd):
    for position in range(3):
        reads = [read("B68SPK"), read("B68SPK")]
        reads.insert(position, read(odd))
        assert slots_text(fused(*reads).slots()) == "B68SPK"


def test_a_read_that_showed_one_character_too_many_does_not_divide_those_after_it():
    far = [read("TKXM349", sure=0.7, height=14)] * 20
    near = [read("7KXH349", height=24)] * 12
    odd = read("7TKXM349", sure=0.7, height=14)
    for reads in ([*far, *near], [*far, odd, *near]):
        assert slots_text(fused(*reads).slots()) == "7KXH349"


def perhaps(text: str, at: int, *, missed: float = 0.4) -> PlateRead:
    """A read that leaves out a character, which it holds for nearly as likely as none."""
    rows = slots(text)
    rows[at] *= missed
    rows[at, 0] += 1 - missed
    return replace(read(text), probabilities=rows)


@pytest.mark.parametrize("share", [0.06, 0.2])
def test_a_doubt_about_another_character_takes_none_away(share):
    other = perhaps("B6XSPK", 2, missed=share)
    for reads in ((read("B68SPK"), other), (other, read("B68SPK"))):
        cuts = Fusion(doubts=True)
        for each in reads:
            cuts.add(each)
        assert slots_text(cuts.slots()) == "B68SPK"


def test_what_one_cut_of_a_picture_nearly_showed_helps_another_that_shows_it():
    one, other = perhaps("B68SPK", 0), perhaps("B68SPK", 3)
    assert (slots_text(one.probabilities), slots_text(other.probabilities)) == ("68SPK", "B68PK")
    cuts = Fusion(doubts=True)
    for cut in (one, other):
        cuts.add(cut)
    assert slots_text(cuts.slots()) == "B68SPK"


def test_doubts_draw_the_characters_of_a_pass_not_apart():
    """As of a plate that comes from afar: each misread hides something at another place."""
    afar = [perhaps("TKX13498", n, missed=0.2) for n in range(8)] * 3
    assert slots_text(fused(*afar, *[read("7KXH349", sharpness=1)] * 40).slots()) == "7KXH349"


def test_a_read_with_a_doubt_is_less_sure_and_one_of_doubts_alone_says_nothing():
    assert read_once(perhaps("B68SPK", 0)).confidence < read_once(read("68SPK")).confidence
    doubts = perhaps("B", 0)
    assert read_once(doubts).plate == ""
    assert (fused(doubts, read("B68SPK")).slots() == fused(read("B68SPK")).slots()).all()


def test_sharp_and_large_crops_outvote_more_blurred_and_small_ones():
    blurred = [read("AB123", sharpness=0.05, height=8)] * 2
    assert slots_text(fused(*blurred, read("AB128")).slots()) == "AB128"
    assert read_weight(read("A")) > 3 * read_weight(blurred[0])


def test_one_doubtful_character_lowers_the_whole_confidence():
    doubtful = slots("B68SPK", sure=0.99)
    doubtful[2] = slots("8", sure=0.4)[0]
    reading = read_once(PlateRead(doubtful, 0.8, 30))
    assert reading.confidence < 0.5
    assert min(reading.char_confidences) == reading.char_confidences[2]


def test_an_alignment_covers_both_sides_once_and_in_order():
    path = align(slots("AB12"), slots("B123"))
    assert [a for a, _ in path if a is not None] == [0, 1, 2, 3]
    assert [b for _, b in path if b is not None] == [0, 1, 2, 3]
    assert (1, 0) in path and (None, 3) in path


def test_a_thousand_different_reads_stay_bounded_and_normal():
    fusion = Fusion()
    rng = np.random.default_rng(0)
    for _ in range(1000):
        fusion.add(read("".join(rng.choice(list(CHARSET), 7))))
    assert np.allclose(fusion.slots().sum(axis=1), 1, atol=1e-3)
    assert len(fusion.slots()) < 100


def test_a_single_sure_read_stays_sure():
    assert read_once(read("B68SPK", sure=0.999)).confidence > 0.9
