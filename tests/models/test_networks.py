from itertools import islice

import pytest

from plateid.capture.images import ArrayImage
from plateid.capture.video_file import read_video
from plateid.config.models import ModelsConfig
from plateid.core.text import best_text
from plateid.demo import DEMO_VIDEO
from plateid.models.networks import Networks
from tests.support.images import plain


@pytest.fixture
def networks(bundle) -> Networks:
    return Networks(ModelsConfig(bundle=bundle))


def test_detections_are_in_image_pixels_one_for_each_plate(networks):
    (found,) = networks.detector().detect(plain(640, 640))
    assert found.score == pytest.approx(0.9)
    assert found.box == pytest.approx((120, 240, 520, 400))


def test_boxes_are_clipped_to_the_image(networks):
    (found,) = networks.detector().detect(plain(640, 80))
    x1, y1, x2, y2 = found.box
    assert 0 <= x1 < x2 <= 640
    assert 0 <= y1 < y2 <= 80


def test_plate_of_twelve_pixels_is_found_if_the_image_is_enlarged():
    frame = next(islice(read_video(DEMO_VIDEO), 80, None))
    small, detector = ArrayImage(frame.image.resized(200, 112)), Networks(ModelsConfig()).detector()
    assert detector.detect(small) == []
    (found,) = detector.detect(small, enlarges=True)
    assert found.box[2] - found.box[0] == pytest.approx(12, abs=2)


def test_given_threshold_overrides_the_bundle(networks):
    assert networks.detector(threshold=0.95).detect(plain()) == []
    assert len(networks.detector(threshold=0.1).detect(plain(64, 32))) == 2


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (4000, 3), (64, 32)])
def test_image_of_any_size_is_accepted(networks, size):
    assert len(networks.detector().detect(plain(*size))) <= 2


def test_each_box_is_read_in_order(networks):
    reader = networks.reader()
    assert reader.read(plain(), []) == []
    reads = reader.read(plain(100, 100), [(0, 0, 40, 10), (10.4, 20.2, 90, 60), (99, 99, 100, 100)])
    assert [best_text(read.probabilities) for read in reads] == ["AB12"] * 3
    assert [read.height for read in reads] == pytest.approx([10, 39.8, 1])


def test_box_outside_the_image_is_read(networks):
    (read,) = networks.reader().read(plain(50, 50), [(-20.0, -20.0, -5.0, -10.0)])
    assert 0 <= read.sharpness <= 1


def test_plates_are_read_on_openvino(bundle):
    networks = Networks(ModelsConfig(bundle=bundle, provider="openvino"))
    (found,) = networks.detector().detect(plain(640, 640))
    reads = networks.reader().read(plain(640, 640), [found.box] * 3)
    assert [best_text(read.probabilities) for read in reads] == ["AB12"] * 3
