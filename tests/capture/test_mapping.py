import av
import cv2
import numpy as np
import pytest

from plateid.capture.images import ArrayImage
from plateid.capture.mapping import Mapping, MappingError
from plateid.capture.video_image import VideoImage
from tests.support.stream_pair import scene


@pytest.fixture(scope="module")
def picture():
    return next(scene(1))


@pytest.mark.parametrize(
    ("crop", "sub"),
    [
        ((0, 0, 1280, 720), (640, 360)),
        ((0, 0, 1280, 720), (352, 288)),
        ((160, 0, 1120, 720), (640, 480)),
        ((200, 100, 1240, 700), (704, 576)),
    ],
    ids=["same", "squeezed", "4 to 3", "part, squeezed"],
)
def test_boxes_are_mapped_to_the_main_stream(picture, crop, sub):
    x1, y1, x2, y2 = crop
    small = cv2.resize(picture[y1:y2, x1:x2], sub, interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(1).integers(0, 8, small.shape, np.uint8)
    mapping = Mapping.measured(ArrayImage(cv2.add(small, noise)), ArrayImage(picture))
    found = mapping.close_up(ArrayImage(picture))
    for u, v in ((0.1, 0.1), (0.5, 0.6), (0.9, 0.9)):
        box = found.place((u * sub[0], v * sub[1], u * sub[0] + 8, v * sub[1] + 4))
        crop_x, crop_y = x1 & ~1, y1 & ~1
        assert box[0] + crop_x == pytest.approx(x1 + u * (x2 - x1), abs=3)
        assert box[1] + crop_y == pytest.approx(y1 + v * (y2 - y1), abs=3)
    assert found.complete
    assert abs(found.image.width - (x2 - x1)) < 8


def test_sub_stream_that_shows_more_is_mapped_but_incomplete(picture):
    sub, main = ArrayImage(cv2.resize(picture, (640, 360))), ArrayImage(picture[90:630])
    found = Mapping.measured(sub, main).close_up(main)
    assert not found.complete
    x1, y1, *_ = found.place((320, 180, 330, 184))
    assert (x1, y1) == pytest.approx((640, 270), abs=3)
    assert found.place_back((x1, y1, x1 + 20, y1 + 8)) == pytest.approx(
        (320, 180, 330, 184), abs=0.1
    )


def test_different_scenes_are_refused_with_the_reason(picture):
    mirrored = ArrayImage(picture[:, ::-1].copy())
    with pytest.raises(MappingError, match=r"main stream: shows another scene: \d+ points agree"):
        Mapping.measured(ArrayImage(cv2.resize(picture, (640, 360))), mirrored)
    with pytest.raises(MappingError, match="0 points agree"):
        Mapping.measured(ArrayImage(picture), ArrayImage(np.full_like(picture, 90)))


@pytest.mark.parametrize("size", [(8000, 2), (2, 8000)])
def test_picture_of_an_absurd_size_is_refused(picture, size):
    grey = av.VideoFrame.from_ndarray(np.full((*size, 3), 90, np.uint8), "bgr24")
    with pytest.raises(MappingError, match="0 points agree"):
        Mapping.measured(ArrayImage(picture), VideoImage(grey.reformat(format="yuv420p")))


def test_rotated_picture_is_refused(picture):
    turn = cv2.getRotationMatrix2D((640, 360), 5, 1)
    with pytest.raises(MappingError, match="is rotated"):
        Mapping.measured(
            ArrayImage(picture), ArrayImage(cv2.warpAffine(picture, turn, (1280, 720)))
        )
