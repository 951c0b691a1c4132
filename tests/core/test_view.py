import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plateid.core.records import Box, Direction
from plateid.core.view import View, inside

SIZE = (1000, 500)
SQUARE = ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8))
HOLLOW = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.2), (0.0, 1.0))
numbers = st.floats(-2000, 2000)


def at(x: float, y: float, height: float = 20) -> Box:
    return x - 2 * height, y - height / 2, x + 2 * height, y + height / 2


@pytest.mark.parametrize(
    ("point", "polygon", "expected"),
    [
        ((0.5, 0.5), SQUARE, True),
        ((0.2, 0.5), SQUARE, True),
        ((0.1, 0.5), SQUARE, False),
        ((0.5, 0.1), HOLLOW, True),
        ((0.5, 0.6), HOLLOW, False),
        ((0.1, 0.6), HOLLOW, True),
    ],
)
def test_point_is_in_polygon_or_on_its_border(point, polygon, expected):
    assert inside(point, polygon) == expected


def test_default_view_accepts_every_plate():
    assert View().accepts(at(0, 0, 0.1), SIZE)


@pytest.mark.parametrize(
    ("view", "accepted"),
    [
        (View(roi=SQUARE), (True, False)),
        (View(masks=(SQUARE,)), (False, True)),
        (View(roi=SQUARE, masks=(SQUARE,)), (False, False)),
        (View(min_plate_height=20.5), (False, False)),
    ],
)
def test_centre_and_height_decide_whether_plate_counts(view, accepted):
    assert (view.accepts(at(500, 250), SIZE), view.accepts(at(100, 250), SIZE)) == accepted


@pytest.mark.parametrize(
    ("view", "part"),
    [
        (View(zoom=True), (0, 0, 1000, 500)),
        (View(roi=SQUARE), (0, 0, 1000, 500)),
        (View(roi=SQUARE, zoom=True), (100, 50, 900, 450)),
        (View(roi=((0.7, 0.1), (0.9, 0.1), (0.9, 0.2)), zoom=True), (600, 0, 1000, 200)),
        (View(roi=((0.0, 0.5), (1.0, 0.5), (0.5, 0.6)), zoom=True), (0, 0, 1000, 500)),
    ],
)
def test_zoomed_part_has_the_shape_of_the_image_and_surrounds_the_roi(view, part):
    assert view.search_area(SIZE) == pytest.approx(part, abs=2)


@given(
    roi=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=6),
    size=st.tuples(st.integers(1, 4000), st.integers(1, 4000)),
)
def test_zoomed_part_contains_the_roi_and_lies_in_the_image(roi, size):
    x1, y1, x2, y2 = View(roi=tuple(roi), zoom=True).search_area(size)
    assert 0 <= x1 < x2 <= size[0] and 0 <= y1 < y2 <= size[1]
    assert x1 % 2 == y1 % 2 == 0
    for x, y in roi:
        assert x1 <= x * size[0] + 1e-6 and x * size[0] <= x2 + 1e-6
        assert y1 <= y * size[1] + 1e-6 and y * size[1] <= y2 + 1e-6


@pytest.mark.parametrize(
    ("end", "degrees"),
    [((500, 150), 0), ((600, 250), 90), ((500, 350), 180), ((400, 250), 270), ((600, 150), 45)],
)
def test_degrees_are_clockwise_from_up(end, degrees):
    assert View().direction([at(500, 250), at(*end)], SIZE) == Direction(None, degrees)


def test_plate_that_moved_less_than_its_height_has_no_direction():
    assert View().direction([at(500, 250), at(519, 250)], SIZE) is None
    assert View().direction([at(500, 250)], SIZE) is None


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=9))
def test_degrees_are_from_0_to_below_360(points):
    direction = View().direction([at(x, y) for x, y in points], SIZE)
    assert direction is None or 0 <= direction.degrees < 360


LEVEL = ((0.2, 0.5), (0.8, 0.5))
"""A line from left to right; the side to its right is below it."""


@pytest.mark.parametrize(
    ("ys", "way"),
    [
        ((100, 400), "in"),
        ((400, 100), "out"),
        ((100, 400, 100), "out"),
        ((100, 400, 100, 400), "in"),
        ((100, 200), None),
        ((400, 300), None),
    ],
)
def test_last_crossing_of_the_line_decides_the_direction(ys, way):
    direction = View(line=LEVEL).direction([at(500, y) for y in ys], SIZE)
    assert (direction and direction.way) == way
    mirrored = View(line=LEVEL[::-1]).direction([at(500, y) for y in ys], SIZE)
    assert (mirrored and mirrored.way) == {"in": "out", "out": "in", None: None}[way]


def test_path_beside_the_line_does_not_cross_it():
    direction = View(line=LEVEL).direction([at(100, 100), at(100, 400)], SIZE)
    assert direction == Direction(None, 180.0)


@pytest.mark.parametrize(
    ("heights", "approaching", "way"),
    [
        ((20, 22, 40, 42), "in", "in"),
        ((20, 22, 40, 42), "out", "out"),
        ((42, 40, 22, 20), "in", "out"),
        ((42, 40, 22, 20), "out", "in"),
        ((20, 21, 22, 21), "in", None),
        ((20, 22, 40, 42), None, None),
    ],
)
def test_growth_decides_the_direction_without_a_line(heights, approaching, way):
    path = [at(500, 100 + 50 * i, height) for i, height in enumerate(heights)]
    direction = View(approaching=approaching).direction(path, SIZE)
    assert direction == Direction(way, 180.0)


def test_plate_that_only_grows_has_a_direction():
    direction = View(approaching="in").direction([at(500, 250, h) for h in (20, 30, 60)], SIZE)
    assert direction is not None
    assert direction.way == "in"
    assert math.isfinite(direction.degrees)


FEW_FRAMES = np.arange(10) / 25
"""Times of ten frames, seconds."""


def drive(*, x: float = 500, y: float = 100, way: tuple[float, float] = (0, 0), growth: float = 0):
    """Ten boxes of a plate 20 px high, with motion (px) and growth over all frames, and jitter."""
    noise = np.random.default_rng(1).normal(0, 0.4, (10, 3))
    for t, (nx, ny, nh) in zip(FEW_FRAMES / FEW_FRAMES[-1], noise, strict=True):
        yield at(x + t * way[0] + nx, y + t * way[1] + ny, 20 * (1 + t * growth) + nh)


@pytest.mark.parametrize(
    ("view", "track", "way"),
    [
        (View(approaching="in"), drive(growth=0.5), "in"),
        (View(approaching="out"), drive(growth=0.5), "out"),
        (View(approaching="in"), drive(growth=-0.5), "out"),
        (View(approaching="in"), drive(way=(40, 0)), None),
        (View(approaching="in"), drive(way=(0, 20), growth=0.1), "in"),
        (View(approaching="in"), drive(way=(0, -20), growth=-0.1), "out"),
        (View(approaching="in"), drive(way=(0, -20), growth=0.1), None),
        (View(line=LEVEL), drive(way=(0, 30)), "in"),
        (View(line=LEVEL[::-1]), drive(way=(0, 30)), "out"),
        (View(line=LEVEL), drive(y=400, way=(0, -30)), "out"),
        (View(line=LEVEL), drive(way=(0, -30)), None),
        (View(line=LEVEL), drive(way=(30, 0)), None),
        (View(line=LEVEL), drive(x=50, way=(0, 30)), None),
        (View(line=LEVEL), drive(), None),
        (View(), drive(way=(0, 30), growth=0.2), None),
    ],
)
def test_way_is_expected_from_growth_or_motion_towards_the_line(view, track, way):
    assert view.expected_way(list(zip(FEW_FRAMES, track, strict=True)), SIZE) == way


@pytest.mark.parametrize("view", [View(approaching="in"), View(line=LEVEL)])
def test_jitter_of_a_stationary_plate_is_no_expected_way(view):
    number, ways = np.random.default_rng(1), []
    for _ in range(100):
        boxes = [at(500 + x, 200 + y, 20 + h) for x, y, h in number.normal(0, 0.6, (10, 3))]
        ways.append(view.expected_way(list(zip(FEW_FRAMES, boxes, strict=True)), SIZE))
    assert ways.count(None) >= 99


@given(st.lists(st.tuples(st.floats(0, 9), numbers, numbers), max_size=9))
def test_expected_way_of_any_boxes_is_a_way_or_none(track):
    boxes = [(t, at(x, y)) for t, x, y in track]
    for view in (View(approaching="in"), View(line=LEVEL)):
        assert view.expected_way(boxes, SIZE) in ("in", "out", None)


@pytest.mark.parametrize(
    "view", [View(), View(roi=SQUARE), View(masks=(SQUARE,)), View(roi=HOLLOW, masks=(SQUARE,))]
)
def test_search_mask_agrees_with_accepts(view):
    mask = view.search_mask((160, 90))
    assert mask.shape == (90, 160)
    for y, x in ((10, 10), (45, 80), (80, 150), (5, 150), (60, 5), (20, 100)):
        box = at((x + 0.5) / 160 * SIZE[0], (y + 0.5) / 90 * SIZE[1])
        assert mask[y, x] == view.accepts(box, SIZE)
