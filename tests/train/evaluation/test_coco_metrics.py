"""Compares the metrics with those of faster-coco-eval."""

import contextlib
import io

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster
from hypothesis import example, given, settings
from hypothesis import strategies as st

from train.evaluation.coco_metrics import (
    IOU_THRESHOLDS,
    NONE,
    ImageBoxes,
    match,
    mean_average_precision,
    rank,
)

AREAS = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def image(found: list[tuple[float, ...]], truths: list[tuple[float, ...]], **ignored) -> ImageBoxes:
    """Boxes given as x1, y1, x2, y2, score."""
    rows = np.array(found, np.float32).reshape(-1, 5)
    nothing = {
        "boxes_ignored": np.zeros(len(found), bool),
        "truths_ignored": np.zeros(len(truths), bool),
    }
    return ImageBoxes(rows[:, :4], rows[:, 4], boxes(*truths), **nothing | ignored)


def random_image(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Plates of all sizes, shifted boxes, false boxes, and equal scores."""
    plates = rng.integers(0, 6)
    corner, size = rng.uniform(0, 400, (plates, 2)), rng.uniform(8, 200, (plates, 2))
    truths = np.hstack([corner, corner + size])
    copies = rng.integers(0, 4, plates)
    shaken = np.repeat(truths, copies, axis=0)
    shaken += rng.normal(0, 0.08, shaken.shape) * np.repeat(size, copies, axis=0)[:, [0, 1, 0, 1]]
    strays = rng.integers(0, 130) if rng.random() < 0.1 else rng.integers(0, 4)
    corner = rng.uniform(0, 400, (strays, 2))
    false = np.hstack([corner, corner + rng.uniform(8, 200, (strays, 2))])
    found = np.vstack([shaken, false])
    found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
    scores = rng.random(len(found)).round(rng.integers(1, 8))
    return found.astype(np.float32), scores.astype(np.float32), truths.astype(np.float32)


def area(of: np.ndarray) -> np.ndarray:
    sides = of[:, 2:].astype(float) - of[:, :2]
    return sides[:, 0] * sides[:, 1]


def outside(of: np.ndarray, low: float, high: float) -> np.ndarray:
    return (area(of) < low) | (area(of) > high)


def reference(images) -> dict[str, np.ndarray]:
    """Precision of faster-coco-eval at (IoU, recall), for each of AREAS."""

    def rows(of):
        return [[*map(float, (x1, y1, x2 - x1, y2 - y1))] for x1, y1, x2, y2 in of.astype(float)]

    truth = COCO()
    truth.dataset = {
        "images": [{"id": 1 + i, "width": 999, "height": 999} for i in range(len(images))],
        "categories": [{"id": 1, "name": "plate"}],
        "annotations": [],
    }
    found = []
    for number, (detections, scores, truths) in enumerate(images, start=1):
        about = {"image_id": number, "category_id": 1}
        truth.dataset["annotations"] += [
            about | {"id": 1000 * number + i, "bbox": row, "area": row[2] * row[3], "iscrowd": 0}
            for i, row in enumerate(rows(truths))
        ]
        found += [
            about | {"bbox": row, "score": float(score)}
            for row, score in zip(rows(detections), scores, strict=True)
        ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval_faster(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, 0, :, -1]
    return {name: precision[:, :, column] for column, name in enumerate(AREAS)}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
@example(7325)  # an IoU of 0.8
def test_precision_equals_the_reference_at_each_iou_and_recall(seed):
    rng = np.random.default_rng(seed)
    images = [random_image(rng) for _ in range(rng.integers(1, 12))]
    if not any(len(detections) for detections, _, _ in images):
        return
    expected = reference(images)
    for name, (low, high) in AREAS.items():
        boxed = [
            ImageBoxes(
                found,
                scores,
                truths,
                boxes_ignored=outside(found, low, high),
                truths_ignored=outside(truths, low, high),
            )
            for found, scores, truths in images
        ]
        if not any(np.any(~each.truths_ignored) for each in boxed):
            assert np.all(expected[name] == -1)
            assert mean_average_precision(boxed) is None
            continue
        curves = np.array([rank(boxed, threshold).curve() for threshold in IOU_THRESHOLDS])
        assert curves == pytest.approx(expected[name], abs=1e-6)
        assert mean_average_precision(boxed) == pytest.approx(expected[name].mean(), abs=1e-6)


def test_metrics_without_plates_and_boxes_are_none():
    for boxed in ([], [image([], [])]):
        counts = rank(boxed).at(0.5)
        assert (counts.recall, counts.precision) == (None, None)
        assert rank(boxed).average_precision() is None
        assert not rank(boxed).curve().any()
        assert mean_average_precision(boxed) is None


PLATE, BESIDE, FAR = (0, 0, 10, 10), (12, 0, 22, 10), (50, 50, 60, 60)


@pytest.mark.parametrize(
    ("found", "truths", "expected"),
    [
        ([(*PLATE, 0.9)], [], (0, 0, 1)),
        ([], [PLATE], (1, 0, 0)),
        ([(*PLATE, 0.9)], [PLATE], (1, 1, 0)),
        ([(*PLATE, 0.29)], [PLATE], (1, 0, 0)),
        ([(*PLATE, 0.3)], [PLATE], (1, 1, 0)),
        ([(*PLATE, 0.8), (*PLATE, 0.9)], [PLATE], (1, 1, 1)),
        ([(0, 0, 10, 5, 0.9)], [PLATE], (1, 1, 0)),
        ([(0, 0, 10, 4.9, 0.9)], [PLATE], (1, 0, 1)),
        ([(*BESIDE, 0.5), (*PLATE, 0.9), (*FAR, 0.4)], [PLATE, BESIDE], (2, 2, 1)),
    ],
)
def test_a_plate_is_found_by_one_box_at_the_threshold(found, truths, expected):
    counts = rank([image(found, truths)]).at(0.3)
    assert (counts.plates, counts.found, counts.false_boxes) == expected


def test_the_box_with_the_highest_score_takes_the_plate_it_covers_best():
    near = (1, 0, 11, 10)
    matches = match(image([(*PLATE, 0.5), (*near, 0.7), (*FAR, 0.9)], [near, PLATE]))
    assert matches == [(2, NONE), (1, 0), (0, 1)]


def test_ignored_boxes_and_plates_do_not_count():
    found = [(*PLATE, 0.9), (*BESIDE, 0.8), (*FAR, 0.7)]
    ignored = {
        "boxes_ignored": np.array([True, False, True]),
        "truths_ignored": np.array([False, True]),
    }
    counts = rank([image(found, [PLATE, BESIDE], **ignored)]).at(0.5)
    assert (counts.plates, counts.found, counts.false_boxes) == (1, 1, 0)
