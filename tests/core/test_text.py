import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plateid.core.text import (
    CHARSET,
    best_text,
    ctc_margins,
    ctc_positions,
    edit_distance,
    n_best,
    normalise,
    tempered,
    with_confusables,
)

texts = st.text(alphabet=CHARSET, max_size=9)


def positions(text: str, *, probability: float = 0.9) -> np.ndarray:
    rows = np.full((len(text), 1 + len(CHARSET)), (1 - probability) / len(CHARSET), np.float32)
    for row, character in zip(rows, text, strict=True):
        row[1 + CHARSET.index(character)] = probability
    return rows


def steps(path: str) -> np.ndarray:
    """Returns the CTC steps of a path; '-' is the blank."""
    rows = np.full((len(path), 1 + len(CHARSET)), 0.002, np.float32)
    for row, character in zip(rows, path, strict=True):
        row[0 if character == "-" else 1 + CHARSET.index(character)] = 0.928
    return rows


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("----", ""),
        ("A", "A"),
        ("AAA", "A"),
        ("A-A", "AA"),
        ("-AAB--BB-7", "ABB7"),
        ("AB", "AB"),
    ],
)
def test_ctc_steps_collapse_to_one_position_per_character(path, text):
    assert best_text(ctc_positions(steps(path))) == text


def test_character_takes_the_most_likely_step_of_its_run():
    run = steps("AAA")
    run[1] = steps("A")[0] * 0.5 + run[1] * 0.5
    run[1, 11] = 0.99
    assert ctc_positions(run)[0, 11] == pytest.approx(0.99)


def test_long_run_with_faint_gap_is_a_double_character():
    path = steps("AAAA-222222-BBBB-2222")
    assert best_text(ctc_positions(path)) == "A2B2"
    path[8, [0, 3]] = 0.4, 0.5
    assert best_text(ctc_positions(path)) == "A22B2"
    path[[7, 8]] = path[[8, 7]]
    assert best_text(ctc_positions(path)) == "A22B2"
    path[18, [0, 3]] = 0.4, 0.5  # this run is no longer than the others
    assert best_text(ctc_positions(path)) == "A22B2"


def test_two_short_adjacent_runs_are_one_character():
    path = steps("AAAA-0Q-BBBB0QQQCCCC")
    path[5, 1], path[6, 27] = 0.5, 0.6
    found = ctc_positions(path)
    assert best_text(found) == "AQB0QC"
    assert found[1, 27] == pytest.approx(0.6)
    assert best_text(ctc_positions(steps("AQB0QC"))) == "AQB0QC", "all runs are short"


def test_low_probability_blank_keeps_its_position():
    path = steps("A---B--")
    path[2, [0, 12]] = path[5, [0, 12]] = 0.63, 0.3  # perhaps a B; step 5 belongs to the B before
    found = ctc_positions(path)
    assert best_text(found) == "AB"
    assert found.argmax(axis=1).tolist() == [11, 0, 12]
    assert found[1, [0, 12]] == pytest.approx([0.63, 0.3], abs=0.01)
    assert found.sum(axis=1) == pytest.approx(1, abs=0.01)
    assert {h.text for h in n_best(found, 2)} == {"AB", "ABB"}


@given(texts)
def test_best_hypothesis_has_the_most_likely_characters(text):
    best = n_best(positions(text), 5)[0]
    assert best.text == text
    assert best.probability == pytest.approx(0.9 ** len(text), rel=1e-3)
    assert best.characters == pytest.approx([0.9] * len(text))


@given(texts.filter(lambda text: len(text) > 1))
def test_hypotheses_are_sorted_and_unique(text):
    found = n_best(positions(text, probability=0.5), 5)
    assert [h.probability for h in found] == sorted((h.probability for h in found), reverse=True)
    assert len({h.text for h in found}) == len(found) == 5


def test_probabilities_of_two_ways_to_one_text_add_up():
    rows = positions("AA", probability=0.5)
    rows[:, 0] = 0.4
    both = {h.text: h.probability for h in n_best(rows / rows.sum(axis=1, keepdims=True), 9)}
    single = float(rows[0, 11] * rows[1, 0] / rows.sum(axis=1).prod())
    assert both["A"] == pytest.approx(2 * single, rel=1e-3)


@pytest.mark.parametrize(
    ("rows", "margins"),
    [
        (["--AB------", "----------"], (0.2, 0.6)),
        (["--AB------", "-C-----D--"], (0.1, 0.2)),
        (["A--------B", "----------"], (0.0, 0.0)),
        (["----------", "----------"], (0.0, 0.0)),
    ],
)
def test_margins_are_the_blank_steps_beside_the_text_of_all_rows(rows, margins):
    assert ctc_margins(steps("".join(rows))) == pytest.approx(margins)


def test_min_share_limits_the_search():
    rows = positions("AB", probability=0.5)
    rows[0, 1 + CHARSET.index("8")] = 0.2
    assert [h.text for h in n_best(rows, 9, min_share=0.3)] == ["AB", "8B"]
    assert len(n_best(rows, 9)) == 9


@pytest.mark.parametrize("pair", ["O0", "I1", "B8", "S5", "Z2", "D0", "Q0", "G6"])
def test_confusable_character_becomes_a_hypothesis_and_best_text_stays(pair):
    for one, other in (pair, pair[::-1]):
        rows = with_confusables(positions(one, probability=0.99))
        assert best_text(rows) == one
        assert other in {h.text for h in n_best(rows, 4, min_share=0.01)}
        assert other not in {
            h.text for h in n_best(positions(one, probability=0.99), 4, min_share=0.01)
        }


def test_confusables_of_no_positions_are_empty():
    assert with_confusables(np.zeros((0, 37), np.float32)).shape == (0, 37)


@given(st.floats(0.2, 5), st.lists(st.floats(0.001, 1), min_size=2, max_size=9))
def test_tempered_rows_sum_to_one_and_keep_their_order(temperature, weights):
    row = np.array(weights, np.float32) / np.float32(sum(weights))
    warm = tempered(row[None], temperature)[0]
    assert warm.sum() == pytest.approx(1, abs=1e-5)
    assert warm[row.argmax()] == warm.max()
    assert (warm.max() - row.max()) * (temperature - 1) <= 1e-4


def test_temperature_1_changes_nothing_and_temperatures_multiply():
    rows = positions("AB12", probability=0.8)
    np.testing.assert_allclose(tempered(rows, 1.0), rows, atol=1e-6)
    np.testing.assert_allclose(tempered(tempered(rows, 2.0), 1.5), tempered(rows, 3.0), atol=1e-6)


def test_no_positions_give_the_empty_text():
    assert [h.text for h in n_best(np.zeros((0, 37), np.float32), 3)] == [""]


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [("", "", 0), ("AB", "", 2), ("AB12", "A812", 1), ("ABC", "BC", 1), ("AB", "BA", 2)],
)
def test_edit_distance_of_known_pairs(a, b, distance):
    assert edit_distance(a, b) == edit_distance(b, a) == distance


@given(st.text())
def test_normalise_returns_charset_only_and_is_idempotent(text):
    assert set(normalise(text)) <= set(CHARSET)
    assert normalise(normalise(text)) == normalise(text)


def test_normalise_raises_case_and_drops_separators():
    assert normalise("b 68-spk •") == "B68SPK"


def test_normalise_maps_accents_and_cyrillic_to_latin():
    assert normalise("GÖ-AB 123") == "GOAB123"
    assert normalise("а 123 вс 77") == "A123BC77"  # noqa: RUF001
