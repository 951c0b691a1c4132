import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from plateid.core.records import Box, Image
from tests.train.dataset.data_sets import scene
from train.dataset.perceptual_hash import PerceptualHash, near_duplicates, perceptual_hash

PLATE = (60, 40, 140, 60)


def grey(image: Image) -> Image:
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


BOXES = st.lists(
    st.tuples(st.floats(0, 150), st.floats(0, 80), st.floats(0.1, 50), st.floats(0.1, 20)).map(
        lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
    ),
    max_size=3,
)


@given(st.integers(0, 9), BOXES, st.integers(-20, 20))
def test_brighter_image_is_a_near_duplicate(seed: int, boxes: list[Box], light):
    image = grey(scene(seed)) // 2 + 50
    lit = (image.astype(int) + light).astype(np.uint8)
    hashes = [perceptual_hash(image, boxes), perceptual_hash(lit, boxes[::-1])]
    assert list(near_duplicates(hashes)) == [(0, 1)]


def test_near_duplicates_need_two_images_with_the_same_plates():
    one = perceptual_hash(grey(scene(0)), [])
    assert list(near_duplicates([])) == list(near_duplicates([one])) == []
    assert list(near_duplicates([one, perceptual_hash(grey(scene(0)), [PLATE])])) == []


def test_near_duplicates_have_the_same_plates():
    same, first, second = bytes(16), 8 * b"\xff" + bytes(8), bytes(16) + 8 * b"\xff" + bytes(8)
    hashes = [PerceptualHash(bytes(64), plates) for plates in (same + same, first + same, second)]
    assert list(near_duplicates(hashes)) == []
    assert list(near_duplicates([hashes[0], hashes[0]])) == [(0, 1)]
