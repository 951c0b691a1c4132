"""A camera's view: the areas in which plates count, and the direction of vehicles.

Points are in normalised coordinates: (0, 0) is the top left corner, (1, 1) the bottom right one.
"""

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

MIN_GROWTH = 1.25
"""Minimum factor by which a plate's height changes if its vehicle approaches or recedes."""
ZOOM_MARGIN = 0.1
"""Margin around a zoomed `roi`, as a fraction of the image's sides. A plate may reach beyond `roi`,
and the detector needs the vehicle around it."""
MAX_END_BOXES = 3
"""Maximum number of boxes at each end of a path. Their median heights are compared."""


@dataclass(frozen=True)
class View:
    """One camera's view.

    Attributes:
        roi: Region of interest for plate centres; empty: the whole image.
        masks: Areas without plates.
        min_plate_height: Minimum height of a plate, in pixels of the full image.
        line: A vehicle that crosses it from left to right, seen from its first point to its second,
            goes in.
        approaching: Direction of approaching vehicles; used without `line`.
        zoom: Whether the detector gets only `search_area`.
    """

    roi: Polygon = ()
    masks: tuple[Polygon, ...] = ()
    min_plate_height: float = 0.0
    line: Line | None = None
    approaching: Way | None = None
    zoom: bool = False

    def search_area(self, size: Size) -> Box:
        """Returns the box to search: around `roi`, in the image's aspect ratio; all without `zoom`.

        Coordinates are even pixels where the image allows it.
        """
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

    def direction(self, path: Sequence[Box], size: Size) -> Direction | None:
        """Returns the direction of a plate with these boxes, oldest first.

        None if the plate moved less than its height, did not cross the line and kept its size.
        """
        points = [centre(box) for box in path]
        dx, dy = points[-1][0] - points[0][0], points[-1][1] - points[0][1]
        way = self._way(path, points, size)
        if way is None and math.hypot(dx, dy) < path[0][3] - path[0][1]:
            return None
        return Direction(way, round(math.degrees(math.atan2(dx, -dy)), 1) % 360.0)

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
    if approaching is None or 1 / MIN_GROWTH < growth < MIN_GROWTH:
        return None
    receding: Way = "out" if approaching == "in" else "in"
    return approaching if growth > 1 else receding
