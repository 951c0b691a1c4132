import numpy as np
import pytest

from plateid.core.geometry import expanded
from plateid.core.records import Image
from plateid.store.snapshots import CELLS, vehicle_only, without_plates

PLATE = (300.0, 200.0, 380.0, 220.0)


def noise(width: int = 640, height: int = 360) -> Image:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


def test_plate_with_margin_becomes_one_colour_and_the_rest_stays():
    image = noise()
    hidden = without_plates(image, [PLATE])
    assert len(np.unique(hidden[196:225, 294:387].reshape(-1, 3), axis=0)) == 1
    changed = np.argwhere((hidden != image).any(axis=2))
    assert changed.min(axis=0).tolist() == [194, 292]
    assert changed.max(axis=0).tolist() == [226, 388]
    assert (image == noise()).all()


@pytest.mark.parametrize(
    "box",
    [(-50, -9, 20, 9), (630, 350, 700, 400), (900, 10, 950, 30), (-90, 5, -40, 9), (5, 5, 5, 5)],
)
def test_plate_at_or_beyond_the_border_is_hidden(box):
    hidden = without_plates(noise(), [box])
    assert hidden.shape == (360, 640, 3)
    left, top, right, bottom = expanded(box, x=0.5, y=0.5)
    rows, columns = (hidden != noise()).any(axis=2).nonzero()
    assert ((left < columns) & (columns < right) & (top < rows) & (rows < bottom)).all()
    x1, y1, x2, y2 = box
    inside = hidden[max(0, y1) : max(0, y2), max(0, x1) : max(0, x2)].reshape(-1, 3)
    assert len(np.unique(inside, axis=0)) <= 1


@pytest.mark.parametrize("size", [(640, 360), (37, 211), (8, 1)])
def test_blur_around_the_vehicle_leaves_no_detail_below_cell_size(size):
    width, height = size
    image = noise(width, height)
    left, right, top = 0.45 * width, 0.5 * width, 0.6 * height
    plate = (left, top, right, top + (right - left) / 4)
    shown = vehicle_only(image, plate)
    kept = (shown == image).all(axis=2)
    columns = np.nonzero(kept)[1]
    assert kept[int(top) : int(plate[3]) + 1, int(left) : int(right) + 1].all()
    if width > CELLS:
        assert columns.min() >= 0.3 * width
        assert columns.max() <= 0.65 * width
        corner = shown[:, : width // 4].astype(int)
        assert np.abs(np.diff(corner, axis=1)).max() < 2 * 256 * CELLS / width
    assert (image == noise(width, height)).all()
