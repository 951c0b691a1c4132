"""The syntax of labels is soft evidence: it completes doubtful texts, and clear ones win."""

import numpy as np
import pytest

from plateid.core.formats import shipped_formats
from plateid.core.fusion import Fusion
from plateid.core.reading import Reading, fused_reading, single_reading
from plateid.core.records import PlateRead
from plateid.core.taught_syntax import LEAST_FACTOR, MAX_SHAPES, NO_SYNTAX, TaughtSyntax
from plateid.core.text import BLANK, Positions, best_text
from tests.core.test_text import positions

TEN_DIGITS = TaughtSyntax.of([f"{n:010}" for n in range(100)])


def doubtful(text: str, hidden: float, probability: float = 0.99) -> Positions:
    """Returns a text whose last character has the probability `hidden`, else it is blank."""
    rows = positions(text, probability=probability)
    rows[-1] *= hidden
    rows[-1, BLANK] += 1 - hidden
    return rows


def reading(text: str, hidden: float, syntax: TaughtSyntax, probability: float = 0.99) -> Reading:
    return single_reading(PlateRead(doubtful(text, hidden, probability), 0.8, 30, syntax=syntax))


def test_doubtful_tenth_digit_is_read_if_labels_have_ten():
    assert reading("4821937705", 0.1, NO_SYNTAX).plate == "482193770"
    found = reading("4821937705", 0.1, TEN_DIGITS)
    assert (found.plate, found.agreeing_reads) == ("4821937705", 1)
    assert found.candidates[1].plate == "482193770"
    last = TEN_DIGITS.weighed(doubtful("4821937705", 0.1))[-1]
    assert last.max() == pytest.approx(0.099 / (0.099 + LEAST_FACTOR * 0.901), abs=1e-3), "Bayes"


def test_pass_keeps_the_doubtful_digit_of_its_frames():
    rows = doubtful("4821937705", 0.1)
    for syntax, plate in ((NO_SYNTAX, "482193770"), (TEN_DIGITS, "4821937705")):
        fusion = Fusion()
        for _ in range(5):
            fusion.add(PlateRead(rows, 0.8, 30, syntax=syntax))
        found = fused_reading(fusion, shipped_formats())
        assert (found.plate, found.agreeing_reads) == (plate, 5)


def test_letter_becomes_a_digit_only_where_the_pixels_allow_it():
    rows = positions("48219L7705", probability=0.97)
    assert single_reading(PlateRead(rows, 0.8, 30, syntax=TEN_DIGITS)).plate == "48219L7705"
    rows[5] = 0.6 * rows[5] + 0.4 * positions("1", probability=0.97)[0]
    assert single_reading(PlateRead(rows, 0.8, 30, syntax=TEN_DIGITS)).plate == "4821917705"


@pytest.mark.parametrize("text", ["B68SPK", "482193770", "AB", "48219377051"])
def test_clear_text_of_a_shape_without_label_wins(text):
    foreign = PlateRead(positions(text, probability=0.97), 0.8, 30)
    before = single_reading(foreign)
    after = single_reading(PlateRead(foreign.probabilities, 0.8, 30, syntax=TEN_DIGITS))
    assert (after.plate, after.plate_raw) == (before.plate, before.plate_raw)
    assert reading(text, 0.01, TEN_DIGITS).plate == text[:-1]


def test_frequent_shape_is_likelier_and_new_ones_depend_on_their_variety():
    syntax = TaughtSyntax.of(["B10AAA"] * 40 + ["CJ10AAA"] * 20 + ["AB1"])
    factors = [syntax.factor(text) for text in ("B99XYZ", "SV99XYZ", "AB1", "A1")]
    assert factors == [1, 0.5, 0.05, 0.05]
    assert TEN_DIGITS.factor("B99XYZ") == LEAST_FACTOR
    assert TaughtSyntax.of(["12", "345"]).factor("12345") == 1
    assert TaughtSyntax.of(["7" * n for n in range(1, 13)]) == NO_SYNTAX, "each has another shape"
    assert not TaughtSyntax.of([]).counts


def test_vehicle_does_not_teach_its_own_shape():
    syntax = TaughtSyntax.of(["12"] * 3 + ["AB"])
    assert syntax.without("CD") == TaughtSyntax.of(["12"] * 3)
    assert syntax.without("34").counts == (("DD", 2), ("LL", 1))
    assert NO_SYNTAX.without("12") == NO_SYNTAX


def test_number_of_shapes_is_limited():
    texts = [
        text for n in range(1, 12) for k in range(n) for text in ["A" * k + "7" * (n - k)] * 99
    ]
    assert len(TaughtSyntax.of(texts).counts) == MAX_SHAPES


@pytest.mark.parametrize(
    ("shape", "text"),
    [("LLDD", "AB12"), ("LLD", "AB1"), ("LL", "AB12"), ("DDDD", "AB12"), ("LLDDD", "AB12")],
)
def test_only_positions_that_decide_are_weighed(shape, text):
    rows = positions("AB12", probability=1.0)
    rows[-1] = 0.7 * rows[-1] + 0.3 * np.eye(1, rows.shape[1])[0]
    weighed = TaughtSyntax(((shape, 100),)).weighed(rows)
    assert best_text(weighed) == text
    np.testing.assert_array_equal(weighed[:-1], rows[:-1])
    assert weighed.sum(axis=1) == pytest.approx(np.ones(4))
    empty = rows[:0]
    assert TEN_DIGITS.weighed(empty).shape == empty.shape
