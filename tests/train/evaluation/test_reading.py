import pytest

from tests.train.evaluation.samples import answer, plate, read
from train.evaluation.reader import EVEN, SHIFTS, evaluate_reader, jitter, worst_reads
from train.evaluation.reading import end_to_end, on_crops, reader_figures, reader_parts

THRESHOLD = 0.3


def figures(*plates):
    return reader_figures("all", end_to_end(plates, THRESHOLD), on_crops(plates))


def test_a_plate_that_is_not_found_is_not_read_end_to_end():
    found = figures(
        plate("B68SPK", read("B68SPK", 0.99)),
        plate("B68SPK", score=0.29),
        plate("B680SPK", read("B68OSPK", 0.6)),
        plate("B68SPK", found=read("B68S", 0.99)),
        plate("B68SPK", is_cut_out=True),
    )
    assert (found.plates, found.exact, found.folded) == (4, 0.25, 0.5)
    assert (found.crops, found.crops_exact, found.crops_folded) == (5, 0.8, 1)
    assert found.cer == pytest.approx((6 + 1 + 2) / 25)
    assert found.crops_cer == pytest.approx(1 / 31)
    assert (found.sure, found.sure_right) == (0.5, 0.5)


def test_shares_of_nothing_are_none():
    nothing = figures()
    assert (nothing.plates, nothing.crops) == (0, 0)
    assert {nothing.exact, nothing.folded, nothing.cer, nothing.sure, nothing.sure_right} == {None}


def test_plates_are_parted_by_what_makes_them_hard():
    plates = [
        plate("A1", box=(0, 0, 60, 12), labels={"legibility": "hard"}),
        plate("A2", labels={"legibility": "clear", "lines": "2"}, luma=20.0),
        plate("A3", source="other", is_cut_out=True),
        plate("A4", labels={"legibility": "partial"}),
    ]
    trained = {"A1", "A3"}
    parts = reader_parts(end_to_end(plates, THRESHOLD), on_crops(plates), trained)
    counts = {key: [(each.name, each.plates, each.crops) for each in parts[key]] for key in parts}
    assert counts == {
        "all": [("all", 3, 4)],
        "source": [("data", 3, 3), ("other", 0, 1)],
        "characters": [("< 8 px", 1, 1), ("12-20 px", 1, 1), ("> 20 px", 1, 2)],
        "lines": [("1 line", 2, 3), ("2 lines", 1, 1)],
        "legibility": [("clear", 1, 1), ("hard", 1, 1), ("not said", 0, 1), ("partial", 1, 1)],
        "light": [("day", 2, 2), ("night", 1, 1)],
        "text": [("new text", 2, 2), ("trained text", 1, 2)],
    }


def test_the_worst_reads_are_wrong_ones_the_surest_first():
    answers = [
        answer("B68SPK", "B68SPX", 0.7),
        answer("B68SPK", "B68SPK", 0.99),
        answer("B68SPK", "B68SP", 0.9),
        answer("B68SPK", ""),
        answer("A0B12C", "AOB12C", 0.99),
    ]
    assert [each.reading.plate for each in worst_reads(answers)] == ["B68SP", "B68SPX", ""]
    assert len(worst_reads(answers, limit=1)) == 1


def test_jitter_says_what_the_worst_box_costs():
    wrong, right = read("B68S"), read("B68SPK")
    plates = [
        plate("B68SPK", jittered=(wrong, *[right] * (len(SHIFTS) - 1))),
        plate("B68SPK", jittered=(right,) * len(SHIFTS)),
        plate("B68SPK", jittered=(wrong,) * len(SHIFTS), is_cut_out=True),
    ]
    found = jitter(plates)
    assert SHIFTS[EVEN] == (0, 0)
    assert (found.plates, found.worst_loss) == (2, 50)
    assert found.shares == (0.5, *[1.0] * (len(SHIFTS) - 1))
    assert jitter([plate("B68SPK")]) is None


def test_a_temperature_that_is_not_applied_changes_no_figure():
    plates = [plate("B68SPK"), plate("B68SPK", read("B68SPX", 0.6))]
    as_it_is = evaluate_reader(plates, THRESHOLD, temperature=None, applied=True)
    assert as_it_is.calibration.bins[0].confidence == pytest.approx(
        sum(each.reading.confidence for each in end_to_end(plates, THRESHOLD)) / 2
    )
    assert as_it_is.temperature is None
    assert as_it_is.found[plates[1]].reading.plate == "B68SPX"
