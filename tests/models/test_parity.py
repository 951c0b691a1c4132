import numpy as np
import pytest

from plateid.core.records import Detection
from plateid.models.parity import Parity

PLATE, OTHER = (100.0, 100.0, 200.0, 130.0), (300.0, 100.0, 350.0, 120.0)
THRESHOLD = 0.3


def found(*plates):
    return [Detection(box, score) for box, score in plates]


def compared(got, expected, texts=("AB12",), expected_texts=("AB12",)):
    parity = Parity()
    parity.add((got, texts), (expected, expected_texts), threshold=THRESHOLD)
    return parity


@pytest.mark.parametrize(
    ("got", "iou"),
    [
        (found((PLATE, 0.9), (OTHER, 0.6)), 1),
        (found((OTHER, 0.6), (PLATE, 0.82)), 1),  # scores differ, in another order
        (found(((101.0, 100.0, 200.0, 130.0), 0.9), (OTHER, 0.6)), 0.99),
        (found((PLATE, 0.9), (OTHER, 0.6), ((5.0, 5.0, 9.0, 9.0), 0.39)), 1),  # not clear
    ],
)
def test_same_boxes_within_rounding_errors_pass(got, iou):
    parity = compared(got, found((PLATE, 0.9), (OTHER, 0.6)))
    assert parity.passed
    assert parity.iou == pytest.approx(iou)
    assert str(parity) == f"IoU {iou:.2f} or more, 1 of 1 texts"


@pytest.mark.parametrize(
    "got",
    [
        found((PLATE, 0.9)),  # misses a plate
        found(),
        found((PLATE, 0.9), (OTHER, 0.6), ((5.0, 5.0, 90.0, 30.0), 0.5)),  # invents one
        found(((112.0, 100.0, 212.0, 130.0), 0.9), (OTHER, 0.6)),
    ],
)
def test_other_boxes_do_not_pass(got):
    expected = found((PLATE, 0.9), (OTHER, 0.6))
    assert not compared(got, expected).passed
    assert not compared(expected, got).passed


def test_one_other_text_of_200_passes_and_two_do_not():
    parity, empty = Parity(), found()
    for number in range(200):
        parity.add((empty, ["AB1Z" if number == 7 else "AB12"]), (empty, ["AB12"]), threshold=0.3)
    assert parity.passed
    parity.add((empty, ["AB1Z"]), (empty, ["AB12"]), threshold=0.3)
    assert not parity.passed
    assert (parity.crops, parity.same_texts) == (201, 199)


def test_images_without_plates_pass():
    assert compared(found(), found(), (), ()).passed
    assert np.isfinite(Parity().iou)
