import pytest
from hypothesis import given
from hypothesis import strategies as st

from plateid.core.text import fold
from tests.train.evaluation.evaluation_samples import plate, read, result_of
from train.evaluation.evaluation_report import highest_confidence_errors
from train.evaluation.reader_accuracy import (
    NOTHING,
    aligned,
    confusions,
    end_to_end,
    grouped_reader_accuracy,
    in_true_boxes,
    read_accuracy,
)

TEXTS = st.text("AB01", max_size=8)


def test_undetected_plate_counts_as_wrong_end_to_end():
    plates = [
        plate("B68SPK", read("B68SPK", 0.99)),
        plate("B68SPK", score=0.29),
        plate("B680SPK", read("B68OSPK", 0.6)),
        plate("B68SPK", found=read("B68S", 0.99)),
        plate("B68SPK", is_crop=True),
    ]
    found, crops = (
        read_accuracy(results) for results in (end_to_end(plates), in_true_boxes(plates))
    )
    assert (found.plates, found.plate_accuracy, found.plate_accuracy_folded) == (4, 0.25, 0.5)
    assert (crops.plates, crops.plate_accuracy, crops.plate_accuracy_folded) == (5, 0.8, 1)
    assert found.cer == pytest.approx((6 + 1 + 2) / 25)
    assert crops.cer == pytest.approx(1 / 31)
    assert (found.confident, found.confident_correct) == (0.5, 0.5)


def test_accuracy_without_plates_is_none():
    metrics = read_accuracy([]).metrics("crops_")
    assert metrics.pop("crops_plates") == 0
    assert set(metrics) == {
        f"crops_{key}" for key in ("exact", "folded", "cer", "sure", "sure_right")
    }
    assert set(metrics.values()) == {None}


def test_plates_are_grouped_by_their_properties():
    plates = [
        plate("A1", box=(0, 0, 60, 12), labels={"legibility": "hard"}),
        plate("A2", labels={"legibility": "clear", "lines": "2"}, luma=20.0),
        plate("A3", source="other", is_crop=True),
        plate("A4", labels={"legibility": "partial"}),
    ]
    parts = grouped_reader_accuracy(end_to_end(plates), in_true_boxes(plates), {"A1", "A3"})
    counts = {
        key: [(each.name, each.end_to_end.plates, each.crops.plates) for each in group]
        for key, group in parts.items()
    }
    assert counts == {
        "all": [("all", 3, 4)],
        "source": [("data", 3, 3), ("other", 0, 1)],
        "characters": [("< 8 px", 1, 1), ("12-20 px", 1, 1), ("> 20 px", 1, 2)],
        "lines": [("1 line", 2, 3), ("2 lines", 1, 1)],
        "legibility": [("clear", 1, 1), ("hard", 1, 1), ("not labelled", 0, 1), ("partial", 1, 1)],
        "light": [("day", 2, 2), ("night", 1, 1)],
        "text": [("trained text", 1, 2), ("new text", 2, 2)],
    }


def test_errors_are_sorted_by_confidence_and_folded_matches_are_no_errors():
    results = [
        result_of("B68SPK", "B68SPX", 0.7),
        result_of("B68SPK", "B68SPK", 0.99),
        result_of("B68SPK", "B68SP", 0.9),
        result_of("B68SPK", ""),
        result_of("A0B12C", "AOB12C", 0.99),
    ]
    wrong = highest_confidence_errors(results)
    assert [each.reading.plate for each in wrong] == ["B68SP", "B68SPX", ""]


def test_fold_maps_o_to_0_and_i_to_1():
    assert fold("OI0178") == "010178"


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
