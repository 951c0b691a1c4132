import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plateid.core.geometry import (
    PADDING,
    Letterbox,
    box_iou,
    expanded,
    iou,
    letterboxed,
    nms,
    sharpness,
)
from tests.support.images import ArrayLazyImage

sizes = st.tuples(st.integers(1, 5000), st.integers(1, 5000))
inputs = st.tuples(st.integers(32, 1280), st.integers(32, 1280))


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0.0),
        ((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3),
        ((0, 0, 10, 10), (2, 2, 4, 4), 0.04),
        ((3, 3, 3, 3), (3, 3, 3, 3), 0.0),
    ],
)
def test_iou_of_known_pairs(a, b, expected):
    assert iou(boxes(a), boxes(b))[0, 0] == pytest.approx(expected)


@given(*2 * [st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(0, 30)] * 2)])
def test_iou_of_two_boxes_is_that_of_arrays(a, b):
    one, other = ((x, y, x + w, y + h) for x, y, w, h in (a, b))
    assert box_iou(one, other) == pytest.approx(iou(boxes(one), boxes(other))[0, 0], abs=1e-6)


def test_iou_without_boxes_is_an_empty_matrix():
    assert iou(boxes(), boxes((0, 0, 1, 1))).shape == (0, 1)
    assert iou(boxes((0, 0, 1, 1)), boxes()).shape == (1, 0)


def test_nms_keeps_best_of_each_cluster_in_order_of_score():
    rows = boxes((0, 0, 10, 10), (1, 0, 11, 10), (50, 50, 60, 60))
    assert nms(rows, np.array([0.5, 0.9, 0.7], np.float32), iou_threshold=0.5).tolist() == [1, 2]


def test_nms_without_boxes_keeps_none():
    assert nms(boxes(), np.zeros(0, np.float32), iou_threshold=0.5).tolist() == []


@given(st.lists(st.tuples(*[st.integers(0, 50)] * 4, st.floats(0, 1, width=32)), max_size=12))
def test_nms_keeps_no_two_boxes_above_iou_threshold(rows):
    box = boxes(*[(x, y, x + w + 1, y + h + 1) for x, y, w, h, _ in rows])
    kept = box[nms(box, np.array([row[4] for row in rows], np.float32), iou_threshold=0.4)]
    overlap = iou(kept, kept) - np.eye(len(kept), dtype=np.float32)
    assert (overlap <= 0.4).all()


@given(sizes, inputs)
def test_letterbox_fits_canvas_and_is_invertible(image, canvas):
    box = Letterbox.fit(image, canvas)
    assert box.left >= 0 and box.left + box.width <= canvas[0]
    assert box.top >= 0 and box.top + box.height <= canvas[1]
    touches = box.width == canvas[0] or box.height == canvas[1]
    assert touches if box.scale < 1 else (box.width, box.height) == image
    corners = boxes((0, 0, image[0], image[1]))
    offset = np.array(2 * [box.left, box.top], np.float32)
    assert np.allclose(box.to_image(box.scale * corners + offset), corners, atol=0.1)


def test_letterboxed_image_is_centred_with_grey_padding():
    canvas = np.zeros((40, 40, 3), np.uint8)
    letterboxed(ArrayLazyImage(np.full((40, 80, 3), 200, np.uint8)), canvas)
    assert (canvas[:10] == PADDING).all() and (canvas[-10:] == PADDING).all()
    assert (canvas[10:30] == 200).all()


def test_small_image_is_not_enlarged():
    canvas = np.zeros((40, 40, 3), np.uint8)
    letterboxed(ArrayLazyImage(np.full((10, 20, 3), 200, np.uint8)), canvas)
    assert (canvas[15:25, 10:30] == 200).all()
    assert (canvas == 200).sum() == 10 * 20 * 3


def test_expanded_grows_and_shrinks_by_its_own_size():
    assert expanded((10, 10, 30, 20), x=0.5, y=0.1) == (0, 9, 40, 21)
    assert expanded((10, 10, 30, 20), x=-0.25, y=0) == (15, 10, 25, 20)


def test_blur_lowers_sharpness_and_dimming_does_not():
    crop = np.zeros((20, 80, 3), np.uint8)
    crop[:, ::8] = crop[:, 1::8] = 220
    blurred = np.repeat(crop.reshape(20, 10, 8, 3).mean(axis=2).astype(np.uint8), 8, axis=1)
    assert sharpness(crop) > 2 * sharpness(blurred)
    assert sharpness(crop // 2) == pytest.approx(sharpness(crop), abs=0.05)
