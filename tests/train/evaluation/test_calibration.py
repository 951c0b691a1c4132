from dataclasses import replace

import numpy as np
import pytest

from plateid.core.records import PlateRead
from plateid.core.text import CHARSET, tempered
from tests.train.evaluation.samples import answer, plate, read
from train.evaluation.calibration import Level, calibration, fit, judged, log_loss
from train.evaluation.results import Transcribed
from train.train_error import TrainError

THRESHOLD = 0.3
PLAIN = [1 + CHARSET.index(character) for character in "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"]
"""Columns of characters that are not folded."""


def honest(rng: np.random.Generator, length: int = 5) -> Transcribed:
    """A plate that says what its slots say, as often as they say it."""
    slots = np.zeros((length, 1 + len(CHARSET)), np.float32)
    slots[:, PLAIN] = rng.dirichlet([0.02] * len(PLAIN), length)
    slots = tempered(slots, 1.0)
    columns = [rng.choice(slots.shape[1], p=row / row.sum()) for row in slots.astype(float)]
    text = "".join(CHARSET[column - 1] for column in columns if column)
    return plate(text, PlateRead(slots, 1.0, 30.0))


def bent(honest: Transcribed, power: float) -> Transcribed:
    (crop,) = honest.crop
    crop = replace(crop, probabilities=tempered(crop.probabilities, power))
    return replace(honest, crop=(crop,), found=(crop,))


@pytest.fixture(scope="module")
def plates() -> list[Transcribed]:
    rng = np.random.default_rng(0)
    return [honest(rng) for _ in range(300)]


def test_a_reader_that_is_as_often_right_as_it_says_has_a_small_error(plates):
    good, sure = (
        calibration(judged([bent(each, power) for each in plates], THRESHOLD))
        for power in (1.0, 0.4)
    )
    assert good.error < 0.08
    assert sure.error > 0.2
    assert good.loss < sure.loss
    assert sum(part.reads for part in good.bins) == good.reads == good.plates == 300
    confidences = [part.confidence for part in good.bins]
    assert confidences == sorted(confidences)


@pytest.mark.parametrize("power", [0.4, 1.0, 2.5])
def test_the_temperature_takes_back_what_made_a_reader_too_sure_or_too_doubtful(plates, power):
    fitted = fit([bent(each, power) for each in plates], THRESHOLD, current=2.0)
    assert fitted.factor * power == pytest.approx(1, rel=0.15)
    assert fitted.value == pytest.approx(2 * fitted.factor, abs=0.001)
    assert fitted.after.loss <= fitted.before.loss + 1e-4
    assert fitted.after.error < 0.08


def test_reads_are_those_of_the_detectors_boxes_where_there_are_any():
    lost = plate("AB12", score=0.2)
    cut_out = plate("AB12", found=None, score=0.0, is_cut_out=True)
    assert [each.reading.plate for each in judged([lost, cut_out], THRESHOLD)] == [""]
    assert [each.reading.plate for each in judged([cut_out], THRESHOLD)] == ["AB12"]


def test_levels_count_all_plates_and_only_reads_of_enough_confidence():
    answers = [
        *[answer("B68SPK", "B68SPK", 0.99)] * 3,
        answer("B68SPK", "B68SPX", 0.99),
        *[answer("B68SPK", "B68SPX", 0.5)] * 3,
        answer("B68SPK", ""),
    ]
    found = calibration(answers)
    assert found.levels[:2] == (Level(0.7, 0.5, 0.75), Level(0.9, 0.5, 0.75))
    assert (found.plates, found.reads) == (8, 7)


def test_a_read_with_one_bad_character_has_a_low_confidence():
    bad = read("B68SPK", 0.99)
    bad.probabilities[2] = read("X", 0.4).probabilities[0]
    (one,) = judged([plate("B68SPK", bad)], THRESHOLD)
    assert one.reading.confidence < 0.5


def test_without_reads_there_is_no_error():
    nothing = calibration([])
    assert (nothing.error, nothing.loss, nothing.bins, nothing.levels) == (None, None, (), ())
    silent = calibration([answer("AB12", "")])
    assert (silent.error, silent.plates, silent.reads) == (None, 1, 0)
    assert [(level.kept, level.right) for level in silent.levels] == [(0, None)] * 3


def test_the_loss_of_a_certain_mistake_is_finite():
    assert log_loss(np.array([1.0]), np.array([False])) == pytest.approx(-np.log(1e-4))


@pytest.mark.parametrize(
    ("plates", "said"),
    [
        ([], "0 of 0 reads are right"),
        ([plate("AB12")], "1 of 1 reads are right"),
        ([plate("AB12", read("XY34")), plate("AB12", score=0.0)], "0 of 1 reads are right"),
    ],
)
def test_nothing_is_fitted_to_reads_that_are_all_right_or_all_wrong(plates, said):
    with pytest.raises(TrainError, match=f"--calibrate: {said}"):
        fit(plates, THRESHOLD, current=1.0)
