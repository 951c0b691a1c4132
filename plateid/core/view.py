"""What counts in a camera's picture: where plates are looked for, and which way is in.

Points are parts of the picture: (0, 0) is the top left corner, (1, 1) the bottom right one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Box, Direction, Way

Point = tuple[float, float]
Polygon = tuple[Point, ...]
Line = tuple[Point, Point]
Size = tuple[int, int]
"""Width and height of the picture in pixels."""

APPROACHED = 1.25
"""A plate that grew by this factor came nearer; one that shrank by it went away."""
AROUND = 0.1
"""Of the picture's sides, so much is shown around `roi` where it is zoomed: a plate whose centre is
inside may reach out, and the detector knows it by the vehicle."""
ENDS = 3
"""At most so many boxes at each end of a path: their median height tells how far it was."""


@dataclass(frozen=True)
class View:
    """One camera's view.

    Attributes:
        roi: Plates are looked for in here only; empty: in the whole picture.
        masks: And not in here.
        min_plate_height: Lower plates are ignored, in pixels of the full picture.
        line: Who crosses it from its left to its right, as one looks from its first point to its
            second, goes in.
        approaching: Which way those go who come nearer; where there is no line.
        zoom: The detector is shown `part` only.
    """

    roi: Polygon = ()
    masks: tuple[Polygon, ...] = ()
    min_plate_height: float = 0.0
    line: Line | None = None
    approaching: Way | None = None
    zoom: bool = False

    def part(self, size: Size) -> Box:
        """Where plates are looked for: the smallest part of the picture's shape around `roi`.

        In even numbers of pixels where the picture has such; the whole picture without `zoom`.
        """
        corners = np.array(self.roi if self.zoom and self.roi else ((0, 0), (1, 1)))
        low, high = corners.min(axis=0), corners.max(axis=0)
        side = min(1.0, (high - low).max() + 2 * AROUND)
        start = np.clip((low + high - side) / 2, 0, 1 - side)
        x1, y1 = (2 * math.floor(n / 2) for n in start * size)
        x2, y2 = (2 * math.ceil(n / 2) for n in (start + side) * size)
        return x1, y1, min(x2, size[0]), min(y2, size[1])

    def shows(self, box: Box, size: Size) -> bool:
        """Whether a plate is one to look at: its centre decides where it is."""
        x, y = centre(box)
        point = x / size[0], y / size[1]
        return (
            box[3] - box[1] >= self.min_plate_height
            and (not self.roi or inside(point, self.roi))
            and not any(inside(point, mask) for mask in self.masks)
        )

    def shown(self, size: Size) -> NDArray[np.bool_]:
        """What counts in a picture of this size, shape (H, W)."""
        scale = np.array(size, dtype=np.float32)
        shown = np.full(size[::-1], not self.roi, dtype=np.uint8)
        for polygon, value in ((self.roi, 1), *((mask, 0) for mask in self.masks)):
            if polygon:
                corners = np.rint(np.asarray(polygon, dtype=np.float32) * scale).astype(np.int32)
                cv2.fillPoly(shown, [corners], value)
        return shown.astype(bool)

    def direction(self, path: Sequence[Box], size: Size) -> Direction | None:
        """Which way a plate went that was in these places, the oldest first.

        None where it did not move by its own height, nor crossed the line, nor came or went.
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


def centre(box: Box) -> Point:
    """The middle of a box."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def normalised(box: Box, size: Size) -> Box:
    """Returns a box in normalised coordinates (0-1), as a mask is written."""
    (x1, y1, x2, y2), (width, height) = box, size
    return round(x1 / width, 3), round(y1 / height, 3), round(x2 / width, 3), round(y2 / height, 3)


def inside(point: Point, polygon: Polygon) -> bool:
    """Whether a point is in a polygon, or on its border."""
    return cv2.pointPolygonTest(np.asarray(polygon, dtype=np.float32), point, False) >= 0  # noqa: FBT003 - OpenCV's own signature


def _crossing(step: tuple[Point, Point], line: Line) -> Way | None:
    """Which way a step crosses the line, if it does; who stops on it has not crossed."""
    start, end = (_right_of(line, point) for point in step)
    a, b = (_right_of(step, point) for point in line)
    if (start > 0) == (end > 0) or (a > 0) == (b > 0):
        return None
    return "in" if end > 0 else "out"


def _right_of(line: tuple[Point, Point], point: Point) -> float:
    """More than 0 on the right of the line, for who looks along it; y grows downwards."""
    (ax, ay), (bx, by) = line
    return (bx - ax) * (point[1] - ay) - (by - ay) * (point[0] - ax)


def _by_growth(path: Sequence[Box], approaching: Way | None) -> Way | None:
    heights = [box[3] - box[1] for box in path]
    ends = max(1, min(ENDS, len(heights) // 2))
    growth = float(np.median(heights[-ends:]) / max(float(np.median(heights[:ends])), 1e-6))
    if approaching is None or 1 / APPROACHED < growth < APPROACHED:
        return None
    receding: Way = "out" if approaching == "in" else "in"
    return approaching if growth > 1 else receding
