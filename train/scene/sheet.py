"""The skin of a car laid flat: one sheet from the bumper over the glass to the roof.

Places on the sheet are (across, height): across in half widths, height in metres above the road.
A sheet is as tall as the way along the skin from the bumper's lower edge over the roof.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from plateid.core.records import Image
from train.scene.body import COLUMNS, Body
from train.scene.camera import Points
from train.scene.draw import Colour, dim, ellipse, lit, polygon

PX_PER_M = 400
GLASS: Colour = (58, 50, 44)
DARK: Colour = (30, 29, 28)


@dataclass(frozen=True, eq=False)
class Sheet:
    """Paint and the lamps' own light, both BGR; `light` is black where nothing shines."""

    body: Body
    paint: Image
    light: Image

    def place(self, spots: Iterable[tuple[float, float]]) -> Points:
        """(across, height) to pixels, shape (N, 2)."""
        return np.array([self._pixel(across, self.body.run_at(height)) for across, height in spots])

    def corners(self) -> Points:
        """Pixels of the skin's cells, shape (stations, columns, 2)."""
        return np.array(
            [[self._pixel(across, run) for across in COLUMNS] for run in self.body.run()]
        )

    def fill(
        self, spots: Iterable[tuple[float, float]], colour: Colour, light: Colour | None = None
    ) -> None:
        """Paints a polygon, and makes it shine."""
        corners = self.place(spots)
        polygon(self.paint, corners, colour)
        if light is not None:
            polygon(self.light, corners, light)

    def both(
        self, spots: list[tuple[float, float]], colour: Colour, light: Colour | None = None
    ) -> None:
        """The same for a polygon and its mirror image."""
        self.fill(spots, colour, light)
        self.fill([(-across, height) for across, height in spots], colour, light)

    def spot(self, at: tuple[float, float], radius: float, *, paint: Colour, light: Colour) -> None:
        """Paints a round lamp of `radius` metres and its mirror image."""
        for across in (at[0], -at[0]):
            centre = self.place([(across, at[1])])[0]
            size = radius * PX_PER_M
            ellipse(self.paint, centre, (size * 1.25, size * 1.25), dim(paint, 0.45))
            ellipse(self.paint, centre, (size, size), paint)
            ellipse(self.light, centre, (size, size), light)

    def _pixel(self, across: float, run: float) -> tuple[float, float]:
        half = self.body.half_width
        return (across + 1) * half * PX_PER_M, (float(self.body.run()[-1]) - run) * PX_PER_M


def blank_sheet(body: Body, colour: Colour) -> Sheet:
    """A sheet in the car's colour, shaded by how the skin is inclined."""
    run = body.run()
    shape = (int(run[-1] * PX_PER_M) + 1, int(2 * body.half_width * PX_PER_M) + 1)
    line = np.array([station[:2] for station in body.stations])
    ahead, upward = np.diff(line, axis=0).T / np.diff(run)
    gain = 0.66 + 0.36 * np.clip(ahead, 0, 1) + 0.16 * upward
    middles = (run[1:] + run[:-1]) / 2
    down = np.interp(run[-1] - np.arange(shape[0]) / PX_PER_M, middles, gain)
    across = np.linspace(-1, 1, shape[1])
    round_off = 1.03 - 0.30 * np.abs(across) ** 3.0
    shade = (down[:, None] * round_off[None, :])[..., None]
    paint = lit(np.full((*shape, 3), colour, np.float32).astype(np.uint8), shade)
    return Sheet(body, paint, np.zeros_like(paint))


def band(half: float, low: float, high: float, taper: float = 0.0) -> list[tuple[float, float]]:
    """A trapezoid across the car."""
    return [(-half, low), (half, low), (half - taper, high), (taper - half, high)]
