"""A camera's view, in normalised coordinates (0-1): where plates count, and directions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.geometry import centre
from plateid.core.records import Box, Direction, Way

Point = tuple[float, float]
Polygon = tuple[Point, ...]
Line = tuple[Point, Point]
Size = tuple[int, int]
"""Width and height of the image in pixels."""
Floats = NDArray[np.float64]

MIN_GROWTH = 1.25
"""Minimum factor by which a plate's height changes if its vehicle approaches or recedes."""
ZOOM_MARGIN = 0.1
"""Margin around a zoomed `roi`, as a fraction of the sides: the detector needs the vehicle."""
MAX_END_BOXES = 3
"""Maximum number of boxes at each end of a path. Their median heights are compared."""
MIN_FIT_BOXES = 6
"""Minimum number of boxes from which the way of a plate is estimated."""
MOTION_TREND = 0.3, 4.0
"""Minimum motion that is a trend, in plate heights and in standard errors of the slope."""
GROWTH_TREND = 0.12, 8.0
"""The same for the logarithm of the plate's height, whose errors last for many frames. Motion and
growth gave each of 23 rendered vehicles the right way, after 0.3 s in the median."""


@dataclass(frozen=True)
class View:
    """One camera's view.

    `roi` holds plate centres; empty: the whole image. A vehicle that crosses `line` from left to
    right, seen from its first point, goes in; `approaching` counts without `line`. With `zoom`, the
    detector gets only `search_area`.
    """

    roi: Polygon = ()
    masks: tuple[Polygon, ...] = ()
    min_plate_height: float = 0.0
    line: Line | None = None
    approaching: Way | None = None
    zoom: bool = False

    def search_area(self, size: Size) -> Box:
        """Returns the box to search, at even pixels: a zoomed `roi` in the image's aspect."""
        corners = np.array(self.roi if self.zoom and self.roi else ((0, 0), (1, 1)))
        low, high = corners.min(axis=0), corners.max(axis=0)
        side = min(1.0, (high - low).max() + 2 * ZOOM_MARGIN)
        start = np.clip((low + high - side) / 2, 0, 1 - side)
        x1, y1 = (2 * math.floor(n / 2) for n in start * size)
        x2, y2 = (2 * math.ceil(n / 2) for n in (start + side) * size)
        return x1, y1, min(x2, size[0]), min(y2, size[1])

    def accepts(self, box: Box, size: Size) -> bool:
        """Returns whether a plate is high enough, with its centre in `roi` and outside `masks`."""
        x, y = centre(box)
        point = x / size[0], y / size[1]
        return (
            box[3] - box[1] >= self.min_plate_height
            and (not self.roi or inside(point, self.roi))
            and not any(inside(point, mask) for mask in self.masks)
        )

    def search_mask(self, size: Size) -> NDArray[np.bool_]:
        """Returns an array that is true in `roi` and outside `masks`, shape (H, W)."""
        scale = np.array(size, dtype=np.float32)
        area = np.full(size[::-1], not self.roi, dtype=np.uint8)
        for polygon, value in ((self.roi, 1), *((mask, 0) for mask in self.masks)):
            if polygon:
                corners = np.rint(np.asarray(polygon, dtype=np.float32) * scale).astype(np.int32)
                cv2.fillPoly(area, [corners], value)
        return area.astype(bool)

    @property
    def tells_way(self) -> bool:
        """Whether vehicles can have a way, in or out."""
        return self.line is not None or self.approaching is not None

    def direction(
        self, path: Sequence[Box], size: Size, *, expected: Way | None = None
    ) -> Direction | None:
        """Returns the direction of a plate with these boxes, oldest first.

        None if the plate moved less than its height, did not cross the line and kept its size.
        `expected` counts if the path does not show the way.
        """
        points = [centre(box) for box in path]
        dx, dy = points[-1][0] - points[0][0], points[-1][1] - points[0][1]
        way = self._way(path, points, size) or expected
        if way is None and math.hypot(dx, dy) < path[0][3] - path[0][1]:
            return None
        return Direction(way, round(math.degrees(math.atan2(dx, -dy)), 1) % 360.0)

    def expected_way(self, boxes: Sequence[tuple[float, Box]], size: Size) -> Way | None:
        """Returns the way that a plate will probably have; None while its motion is not clear.

        `boxes` are detections with their times in seconds. With `line`, the plate must move towards
        it. With `approaching`, it must grow while it moves down, shrink while it moves up (cameras
        are higher than plates), or change its height clearly.
        """
        if len(boxes) < MIN_FIT_BOXES or not self.tells_way:
            return None
        times = np.array([t for t, _ in boxes])
        corners = np.array([box for _, box in boxes])  # (N, 4)
        heights = corners[:, 3] - corners[:, 1]
        if self.line is not None:
            points = (corners[:, :2] + corners[:, 2:]) / 2 / heights.mean()
            line = np.array(self.line) * size / heights.mean()
            return _approached_side(times, points, line)
        logs = np.log(np.maximum(heights, 1.0))
        down = _trend(times, (corners[:, 1] + corners[:, 3]) / 2 / heights.mean(), MOTION_TREND)
        agrees = down * _slope(times, logs) > 0
        growth = down if agrees else _trend(times, logs, GROWTH_TREND)
        return _way_by_growth(growth, self.approaching)

    def _way(self, path: Sequence[Box], points: Sequence[Point], size: Size) -> Way | None:
        if self.line is None:
            return _by_growth(path, self.approaching)
        (ax, ay), (bx, by) = self.line
        line = (ax * size[0], ay * size[1]), (bx * size[0], by * size[1])
        ways = [way for step in pairwise(points) if (way := _crossing(step, line))]
        return ways[-1] if ways else None


def inside(point: Point, polygon: Polygon) -> bool:
    """Returns whether a point is in a polygon or on its border."""
    return cv2.pointPolygonTest(np.asarray(polygon, dtype=np.float32), point, False) >= 0  # noqa: FBT003 - OpenCV's own signature


def _crossing(step: tuple[Point, Point], line: Line) -> Way | None:
    """Returns the direction in which a step crosses the line; None if it does not."""
    start, end = (_right_of(line, point) for point in step)
    a, b = (_right_of(step, point) for point in line)
    if (start > 0) == (end > 0) or (a > 0) == (b > 0):
        return None
    return "in" if end > 0 else "out"


def _right_of(line: tuple[Point, Point], point: Point) -> float:
    """Returns a value above 0 for a point right of the line, because y points down."""
    (ax, ay), (bx, by) = line
    return (bx - ax) * (point[1] - ay) - (by - ay) * (point[0] - ax)


def _by_growth(path: Sequence[Box], approaching: Way | None) -> Way | None:
    heights = [box[3] - box[1] for box in path]
    end = max(1, min(MAX_END_BOXES, len(heights) // 2))
    growth = float(np.median(heights[-end:]) / max(float(np.median(heights[:end])), 1e-6))
    return _way_by_growth(0 if 1 / MIN_GROWTH < growth < MIN_GROWTH else growth - 1, approaching)


def _way_by_growth(growth: float, approaching: Way | None) -> Way | None:
    """Returns the way of a plate that becomes larger (above 0) or smaller (below 0)."""
    if approaching is None or growth == 0:
        return None
    receding: Way = "out" if approaching == "in" else "in"
    return approaching if growth > 0 else receding


def _approached_side(times: Floats, points: Floats, line: Floats) -> Way | None:
    """Returns the way of a plate that will cross the line; both are in plate heights, (N, 2)."""
    start, along = line[0], line[1] - line[0]
    normal = np.array([-along[1], along[0]]) / np.hypot(*along)  # points to the right
    across = (points - start) @ normal
    step = _trend(times, across, MOTION_TREND)
    if step * across[-1] >= 0:  # no clear motion, or away from the line
        return None
    motion = [_slope(times, points[:, axis]) for axis in (0, 1)]
    meeting = points[-1] - np.array(motion) * (across[-1] / (motion @ normal))
    is_between = 0 <= (meeting - start) @ along <= along @ along
    return ("in" if step > 0 else "out") if is_between else None


def _trend(times: Floats, values: Floats, limits: tuple[float, float]) -> float:
    """Returns the change of the values by a least-squares fit; 0 if it may be noise."""
    least, errors = limits
    slope = _slope(times, values)
    spread = times - times.mean()
    noise = values - values.mean() - slope * spread
    error = math.sqrt(noise @ noise / (len(times) - 2) / max(spread @ spread, 1e-9))
    change = slope * float(times[-1] - times[0])
    return change if abs(change) >= least and abs(slope) >= errors * error else 0.0


def _slope(times: Floats, values: Floats) -> float:
    spread = times - times.mean()
    return float(spread @ values / max(spread @ spread, 1e-9))
