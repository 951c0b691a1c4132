from hypothesis import given
from hypothesis import strategies as st

from tests.train.evaluation.evaluation_samples import result_of
from train.evaluation.confusions import NOTHING, aligned, confusions

TEXTS = st.text("AB01", max_size=8)


@given(TEXTS, TEXTS)
def test_alignment_holds_both_texts(truth, read):
    pairs = aligned(truth, read)
    assert "".join(there for there, _ in pairs) == truth
    assert "".join(said for _, said in pairs) == read


def test_missing_and_extra_characters_are_aligned_with_nothing():
    assert aligned("AB12", "A12") == [("A", "A"), ("B", NOTHING), ("1", "1"), ("2", "2")]
    assert aligned("A1", "AB1") == [("A", "A"), (NOTHING, "B"), ("1", "1")]


def test_confused_pairs_are_counted():
    pairs = (("B68SPK", "868SPK"), ("B12AAA", "812AAA"), ("B12AAA", "B12AAA"), ("T2R", "CT2R"))
    found = confusions(result_of(*pair) for pair in (*pairs, ("W1", "W")))
    assert found == {("B", "8"): 2, ("1", NOTHING): 1, (NOTHING, "C"): 1}


def test_mostly_wrong_reads_are_left_out():
    found = confusions([result_of("AB12", "XY34"), result_of("AB12", "XY12")])
    assert {truth for truth, _ in found} == {"A", "B"}
