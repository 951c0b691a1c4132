"""The shapes of the cars: the end that faces the camera, and what follows behind it.

Car coordinates are metres: x to the right seen from the camera, h up from the road, s from the end
that faces the camera towards the other end.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from train.scene.camera import Points

COLUMNS = np.array([-1.0, -0.82, -0.4, 0.0, 0.4, 0.82, 1.0])
"""Where the skin is cut from left to right, in half widths."""
_SWEEP = np.array([1.0, 0.24, 0.04, 0.0, 0.04, 0.24, 1.0])
"""How much of a station's `corner` each column lies back."""

Station = tuple[float, float, float, float]
"""s, h, half width, corner: a line across the skin, from the bumper's edge over the roof."""


@dataclass(frozen=True)
class Body:
    """One type of car, seen from one end.

    Attributes:
        belt: Height of the windows' lower edge on the sides.
        plate: Height of the plate's middle.
        glass: Heights of the lower and the upper edge of the glass on this end.
        lamps: Height of the lamps' middle.
        cabin: s where the side windows start and end.
        wheels: s of the axles.
    """

    end: Literal["front", "rear"]
    stations: tuple[Station, ...]
    length: float
    belt: float
    plate: float
    glass: tuple[float, float]
    lamps: float
    cabin: tuple[float, float]
    wheels: tuple[float, float]
    radius: float = 0.31

    @property
    def half_width(self) -> float:
        """At the widest station."""
        return max(station[2] for station in self.stations)

    def skin(self) -> Points:
        """Corners of the skin's cells, shape (stations, columns, 3) in x, h, s."""
        s, h, half, corner = (
            np.asarray(column)[:, None] for column in zip(*self.stations, strict=True)
        )
        x = half * COLUMNS
        return np.stack([x, np.broadcast_to(h, x.shape), s + corner * _SWEEP], axis=-1)

    def run(self) -> Points:
        """Length along the skin's middle line up to each station."""
        line = np.array([station[:2] for station in self.stations])
        steps = np.hypot(*np.diff(line, axis=0).T)
        return np.concatenate([[0.0], np.cumsum(steps)])

    def run_at(self, height: float) -> float:
        """Length along the skin up to where it first reaches `height`."""
        heights = [station[1] for station in self.stations]
        top = int(np.argmax(heights)) + 1
        return float(np.interp(height, heights[:top], self.run()[:top]))

    def depth_at(self, height: float) -> float:
        """S of the skin's middle line where it first reaches `height`."""
        heights = [station[1] for station in self.stations]
        top = int(np.argmax(heights)) + 1
        return float(
            np.interp(height, heights[:top], [station[0] for station in self.stations[:top]])
        )

    def roofline(self) -> Points:
        """The skin's outer edge from the lamps backwards: s, h, half width; shape (N, 3)."""
        first = int(np.argmin([station[0] for station in self.stations])) + 1
        edge = np.array([(s + corner, h, half) for s, h, half, corner in self.stations[first:]])
        edge[:, 0] = np.maximum.accumulate(edge[:, 0])
        return edge

    def flank(self, side: int) -> tuple[Points, Points]:
        """Corners of one side's cells in x, h, s and in s, h; shapes (4, N, 3) and (4, N, 2).

        Args:
            side: 1: right, -1: left.
        """
        depths, heights, halves = self.roofline().T
        s = np.unique(np.concatenate([depths, np.linspace(depths[0], self.length, 9)]))
        roof, half = np.interp(s, depths, heights), np.interp(s, depths, halves)
        shoulder = np.minimum(roof, self.belt)
        wide = np.full(s.shape, self.half_width)
        rows = (
            (wide * 0.98, 0 * s),
            (wide, 0 * s + 0.55),
            (np.where(roof > self.belt, np.maximum(half, wide * 0.96), half), shoulder),
            (half, roof),
        )
        mesh = np.stack([np.stack([side * x, h, s], axis=-1) for x, h in rows])
        flat = np.stack([np.stack([s, h], axis=-1) for _, h in rows])
        return (mesh, flat) if side > 0 else (mesh[:, ::-1], flat[:, ::-1])
