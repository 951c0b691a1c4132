from dataclasses import replace

import numpy as np
import pytest

from plateid.core.records import PlateRead
from plateid.core.text import CHARSET, tempered
from tests.train.evaluation.evaluation_samples import plate, read, result_of
from train.evaluation.confidence_calibration import (
    calibration,
    fit_temperature,
    log_loss,
    reads_to_judge,
)
from train.evaluation.image_results import LabelledPlate
from train.train_error import TrainError

PLAIN = [1 + CHARSET.index(character) for character in "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"]
"""Columns of characters that are not folded."""


def calibrated(rng: np.random.Generator, length: int = 5) -> LabelledPlate:
    """A plate whose text is drawn from the probabilities of its read."""
    slots = np.zeros((length, 1 + len(CHARSET)), np.float32)
    slots[:, PLAIN] = rng.dirichlet([0.02] * len(PLAIN), length)
    slots = tempered(slots, 1.0)
    columns = [rng.choice(slots.shape[1], p=row / row.sum()) for row in slots.astype(float)]
    text = "".join(CHARSET[column - 1] for column in columns if column)
    return plate(text, PlateRead(slots, 1.0, 30.0))


def with_factor(plates: list[LabelledPlate], factor: float) -> list[LabelledPlate]:
    return [each.tempered(factor) for each in plates]


@pytest.fixture(scope="module")
def plates() -> list[LabelledPlate]:
    rng = np.random.default_rng(0)
    return [calibrated(rng) for _ in range(300)]


def test_calibrated_reads_have_a_small_error_and_overconfident_ones_a_large_one(plates):
    good, overconfident = (
        calibration(reads_to_judge(with_factor(plates, factor))) for factor in (1, 0.4)
    )
    assert good.error < 0.08
    assert overconfident.error > 0.2
    assert good.loss < overconfident.loss
    assert sum(part.reads for part in good.bins) == good.reads == 300
    confidences = [part.confidence for part in good.bins]
    assert confidences == sorted(confidences)


@pytest.mark.parametrize("factor", [0.4, 1.0, 2.5])
def test_fitted_temperature_reverts_a_wrong_temperature(plates, factor):
    fitted = fit_temperature(with_factor(plates, factor), current=2.0)
    assert fitted.factor * factor == pytest.approx(1, rel=0.15)
    assert fitted.value == pytest.approx(2 * fitted.factor, abs=0.001)
    assert fitted.after.loss <= fitted.before.loss + 1e-4
    assert fitted.after.error < 0.08


def test_a_large_source_does_not_outvote_a_small_one(plates):
    sure = [replace(each, source="trained") for each in with_factor(plates, 2.5)]
    shifted = [replace(each, source="shifted") for each in with_factor(plates, 0.4)[:60]]
    alike = [replace(each, source="together") for each in (*sure, *shifted)]
    assert fit_temperature([*sure, *shifted], current=1).value > 1.2 * (
        fit_temperature(alike, current=1).value
    )


def test_reads_end_to_end_are_judged_if_there_are_any():
    missed = plate("AB12", score=0.2)
    crop = plate("AB12", found=None, score=0.0, is_crop=True)
    assert [each.reading.plate for each in reads_to_judge([missed, crop])] == [""]
    assert [each.reading.plate for each in reads_to_judge([crop])] == ["AB12"]


def test_a_read_with_one_uncertain_character_has_a_low_confidence():
    uncertain = read("B68SPK", 0.99)
    uncertain.probabilities[2] = read("X", 0.4).probabilities[0]
    (one,) = reads_to_judge([plate("B68SPK", uncertain)])
    assert one.reading.confidence < 0.5


@pytest.mark.parametrize("results", [[], [result_of("AB12", "")]])
def test_without_reads_there_is_no_calibration_error(results):
    found = calibration(results)
    assert (found.error, found.loss, found.bins, found.reads) == (None, None, (), 0)


def test_loss_of_a_certain_error_is_finite():
    assert log_loss(np.array([1.0]), np.array([False])) == pytest.approx(-np.log(1e-4))


@pytest.mark.parametrize(
    ("plates", "counts"),
    [
        ([], "0 of 0 reads are correct"),
        ([plate("AB12")], "1 of 1 reads are correct"),
        ([plate("AB12", read("XY34")), plate("AB12", score=0.0)], "0 of 1 reads are correct"),
    ],
)
def test_no_temperature_is_fitted_if_all_reads_are_correct_or_wrong(plates, counts):
    with pytest.raises(TrainError, match=f"--calibrate: {counts}"):
        fit_temperature(plates, current=1.0)
