from pathlib import Path

import cv2
import numpy as np
import pytest

from plateid.errors import SourceError
from tests.train.evaluation.evaluation_samples import image_result
from train.evaluation.detector_errors import FOUND, TRUTH, WEAK, draw_errors, errors, worst_images

PLATE, FAR = (100, 100, 200, 140), (600, 300, 700, 340)


@pytest.mark.parametrize(
    ("found", "truths", "expected"),
    [
        ([], [], []),
        ([(*PLATE, 0.9)], [PLATE], []),
        ([(*PLATE, 0.1)], [], []),
        ([], [PLATE], [("missed", 20, "missed plate, 40 px high: no box near it")]),
        (
            [(*PLATE, 0.1)],
            [PLATE],
            [("missed", 20, "missed plate, 40 px high: nearest box has score 0.10, IoU 1.00")],
        ),
        ([(*PLATE, 0.04)], [PLATE], [("missed", 20, "no box near it")]),
        ([(*FAR, 0.9)], [], [("false box", 0.9, "score 0.90: no plate is labelled there")]),
        (
            [(100, 100, 140, 140, 0.9)],
            [PLATE],
            [
                ("missed", 20, "nearest box has score 0.90, IoU 0.40"),
                ("false box", 0.9, "score 0.90: IoU 0.40 with a plate"),
            ],
        ),
        (
            [(100, 100, 160, 140, 0.9), (*FAR, 0.4)],
            [PLATE],
            [("false box", 0.4, "labelled there")],
        ),
    ],
)
def test_errors_of_an_image_are_described(found, truths, expected):
    got = errors(image_result(found, truths), 0.3)
    assert len(got) == len(expected)
    for error, (kind, weight, about) in zip(got, expected, strict=True):
        assert error.kind == kind
        assert error.weight == pytest.approx(weight)
        assert error.about.endswith(about)


def test_images_are_sorted_by_their_worst_error():
    images = [
        image_result([(*PLATE, 0.9)], [PLATE], Path("good")),
        image_result([(*FAR, 0.8)], [], Path("likely")),
        image_result([(*FAR, 0.9)], [], Path("likelier")),
        image_result([], [(0, 0, 40, 10)], Path("low")),
        image_result([(*FAR, 0.9)], [PLATE], Path("tall")),
    ]
    order = [each.result.path.name for each in worst_images(images, 0.3)]
    assert order == ["tall", "low", "likelier", "likely"]


def drawn(path: Path, size: tuple[int, int], found: list, truths: list) -> np.ndarray:
    cv2.imwrite(str(path), np.full((size[1], size[0], 3), 90, np.uint8))
    (image,) = worst_images([image_result(found, truths, path)], 0.3)
    return cv2.imdecode(np.frombuffer(draw_errors(image, 0.3), np.uint8), cv2.IMREAD_COLOR)


def has(image: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((np.abs(image.astype(int) - colour).max(axis=2) < 40).any())


@pytest.mark.parametrize(
    ("size", "plate", "shown"),
    [
        ((1600, 900), (600, 300, 640, 320), (800, 450)),
        ((1600, 900), (0, 0, 1600, 900), (800, 450)),
        ((225, 150), (10, 10, 60, 30), (225, 150)),
    ],
    ids=["large", "filled", "small"],
)
def test_an_image_is_drawn_with_at_most_800_columns(tmp_path, size, plate, shown):
    image = drawn(tmp_path / "a.png", size, [], [plate])
    assert (image.shape[1], image.shape[0]) == shown
    assert has(image, TRUTH)


@pytest.mark.parametrize(
    ("found", "truths", "colours"),
    [
        ([(*PLATE, 0.9)], [], (False, True, False)),
        ([(*PLATE, 0.1)], [FAR], (False, False, True)),
        ([(*PLATE, 0.1)], [PLATE], (True, False, True)),
        ([(300, 10, 400, 50, 0.9)], [PLATE], (True, True, False)),
    ],
)
def test_labels_and_boxes_are_drawn_in_their_colours(tmp_path, found, truths, colours):
    image = drawn(tmp_path / "a.png", (480, 360), found, truths)
    assert tuple(has(image, colour) for colour in (TRUTH, FOUND, WEAK)) == colours


def test_an_image_that_was_deleted_is_named(tmp_path):
    (image,) = worst_images([image_result([], [PLATE], tmp_path / "gone.png")], 0.3)
    with pytest.raises(SourceError, match=r"gone\.png: does not exist"):
        draw_errors(image, 0.3)
