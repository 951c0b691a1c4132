from hypothesis import given
from hypothesis import strategies as st

from plateid.core.text import CHARSET, edit_distance
from tests.train.evaluation.samples import answer
from train.evaluation.confusion import NOTHING, SYMBOLS, Pair, confusion, edit_path

TEXTS = st.text("AB01", max_size=8)


@given(TEXTS, TEXTS)
def test_the_path_is_the_cheapest_and_holds_both_texts(truth, read):
    path = edit_path(truth, read)
    assert "".join(there for there, _ in path) == truth
    assert "".join(said for _, said in path) == read
    assert sum(there != said for there, said in path) == edit_distance(truth, read)


def test_what_is_left_out_or_made_up_stands_against_nothing():
    assert edit_path("AB12", "A12") == [("A", "A"), ("B", NOTHING), ("1", "1"), ("2", "2")]
    assert edit_path("A1", "AB1") == [("A", "A"), (NOTHING, "B"), ("1", "1")]


def test_mistakes_are_counted_by_pair_the_most_frequent_first():
    found = confusion(
        [
            answer("B68SPK", "868SPK"),
            answer("B12AAA", "812AAA"),
            answer("B12AAA", "B12AAA"),
            answer("W1", "W"),
            answer("T2R", "CT2R"),
        ]
    )
    assert found.pairs == [
        Pair("B", "8", 2, 2 / 3),
        Pair("1", NOTHING, 1, 1 / 3),
        Pair(NOTHING, "C", 1, None),
    ]
    assert (found.texts, found.left_out) == (5, 0)
    assert found.matrix.sum() == 6 + 6 + 6 + 2 + 4
    row, column = CHARSET.index("B"), CHARSET.index("8")
    assert found.matrix[row, column] == found.wrong[row, column] == 2
    assert found.matrix.shape == (len(SYMBOLS), len(SYMBOLS))


def test_a_read_that_is_mostly_wrong_says_nothing_of_characters():
    found = confusion([answer("AB12", "XY34"), answer("AB12", "XY12")])
    assert (found.texts, found.left_out) == (1, 1)
    assert {pair.truth for pair in found.pairs} == {"A", "B"}


def test_nothing_gives_no_pairs():
    assert confusion([]).pairs == []
