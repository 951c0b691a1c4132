"""The shapes of vehicles (bodies.toml explains the coordinates), and their coloured polygons."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from train.street.projection import Colour, Points, circle, scaled

FOLDER = Path(__file__).parent
COLUMNS = np.array([-1.0, -0.9, -0.75, -0.4, 0.0, 0.4, 0.75, 0.9, 1.0])
"""Where the skin is divided from left to right, in half widths."""
SWEEP_AT, SWEEP = (0.0, 0.4, 0.82, 1.0), (0.0, 0.04, 0.24, 1.0)
"""How far the skin lies back at these half widths, in shares of what its ends lie back."""

GLASS, TYRE = (58, 50, 44), (20, 20, 20)
"""BGR colours of glass and tyres."""
WHEEL = ((1.15, TYRE), (0.68, (178, 176, 174)), (0.55, (92, 90, 90)))
"""Radius in radii of the tyre, and colour, of the discs of a wheel."""


@dataclass(frozen=True, eq=False)
class Body:
    """The shape of a vehicle, seen from one end; bodies.toml explains the attributes."""

    stations: Points
    belt: float
    plate: float
    glass: Points
    lamps: float
    cabin: tuple[float, float]
    wheels: tuple[float, float]
    wheel_radius: float
    half_width: float
    length: float

    def skin(self) -> Points:
        """Returns the corners of the skin's cells, shape (stations, columns, 3)."""
        z, y, half, back = (column[:, None] for column in self.stations.T)
        x = half * COLUMNS
        sweep = np.interp(np.abs(COLUMNS), SWEEP_AT, SWEEP)
        return np.stack([x, np.broadcast_to(y, x.shape), z + back * sweep], axis=-1)

    def on_skin(self, spots: Points) -> Points:
        """Maps (x in half widths, height in metres), shape (N, 2), to points, shape (N, 3)."""
        across, y = spots.T
        rising = self.stations[: int(np.argmax(self.stations[:, 1])) + 1]
        z, half, back = (np.interp(y, rising[:, 1], rising[:, i]) for i in (0, 2, 3))
        sweep = np.interp(np.abs(across), SWEEP_AT, SWEEP)
        return np.stack([across * half, y, z + back * sweep], axis=-1)

    def outline(self) -> Points:
        """Returns the side edge of the skin from the lamps to the other end, shape (N, 3)."""
        first = int(np.argmin(self.stations[:, 0])) + 1
        z, y, half, back = self.stations[first:].T
        return np.stack([half, y, np.maximum.accumulate(z + back)], axis=-1)


def read_body(name: str, *, front: bool) -> Body:
    """Returns the front or the rear of a type of vehicle."""
    table = tomllib.loads((FOLDER / "bodies.toml").read_text())
    *ends, tall, wide = table["types"][name]
    shape = table["shapes"][ends[0 if front else 1]]
    stations = np.array(shape["stations"]) * (1, tall, wide, 1)
    return Body(
        stations,
        belt=shape["belt"] * tall,
        plate=shape["plate"] * (1 + (tall - 1) * 0.6),
        glass=np.array(shape["glass"]) * tall,
        lamps=shape["lamps"] * tall,
        cabin=shape["cabin"],
        wheels=shape["wheels"],
        wheel_radius=0.31 * tall,
        half_width=float(stations[:, 2].max()),
        length=float(stations[-1, 0]),
    )


@dataclass(frozen=True, eq=False)
class Face:
    """A polygon in vehicle coordinates, shape (N, 3); its paint, and what light it emits."""

    points: Points
    colour: Colour
    light: Colour = (0, 0, 0)


def vehicle_faces(body: Body, colour: Colour, *, front: bool) -> list[Face]:
    """Returns all faces of a vehicle, those farthest from the camera first."""
    faces = [*_flank(body, colour, -1), *_flank(body, colour, 1), *_skin(body, colour)]
    table = tomllib.loads((FOLDER / "panels.toml").read_text())
    panels = (*table["both"], *table["front" if front else "rear"])
    return faces + [face for panel in panels for face in _painted(body, panel, colour)]


def _flank(body: Body, colour: Colour, side: int) -> Iterator[Face]:
    """Yields one side: panel below the windows, cabin, windows and wheels."""
    edge, x = body.outline() * (side, 1, 1), side * body.half_width
    shoulder = np.stack([np.full(len(edge), x), np.minimum(edge[:, 1], body.belt), edge[:, 2]], 1)
    sill = [(x, 0.24, body.length), (x, 0.24, edge[0, 2])]
    yield Face(np.vstack([shoulder, sill]), scaled(colour, 0.7))
    yield Face(np.vstack([shoulder, edge[::-1]]), scaled(colour, 0.85))
    for near, far in pairwise(np.linspace(*body.cabin, 3)):
        z = np.array([near + 0.06, far - 0.06])
        top_x, top_y = (np.interp(z, edge[:, 2], edge[:, i]) for i in (0, 1))
        lower = [(x, body.belt + 0.02, at) for at in z]
        yield Face(np.vstack([lower, np.stack([top_x, top_y - 0.07, z], 1)[::-1]]), GLASS)
    for axle in reversed(body.wheels):
        for share, paint in WHEEL:
            z, y = (circle(share * body.wheel_radius) + np.array((axle, body.wheel_radius))).T
            yield Face(np.stack([np.full(len(z), x), np.maximum(y, 0), z], axis=1), paint)


def _skin(body: Body, colour: Colour) -> Iterator[Face]:
    """Yields the cells of the skin, brighter where they face the sky."""
    mesh, steps = body.skin(), np.diff(body.stations[:, :2], axis=0)
    ahead, upward = (steps / np.linalg.norm(steps, axis=1, keepdims=True)).T
    gains = 0.66 + 0.36 * np.clip(ahead, 0, 1) + 0.16 * upward
    middles = (COLUMNS[1:] + COLUMNS[:-1]) / 2
    for row in reversed(range(len(gains))):
        for column in np.argsort(-np.abs(middles)):
            cell = mesh[row : row + 2, column : column + 2].reshape(4, 3)[[0, 1, 3, 2]]
            yield Face(cell, scaled(colour, gains[row] * (1.03 - 0.3 * abs(middles[column]) ** 3)))


def _painted(body: Body, panel: dict[str, Any], colour: Colour) -> Iterator[Face]:
    """Yields a panel, with points along its edges so that it follows the skin, and its mirror."""
    low, high = body.glass
    bumper, step = body.stations[0, 1], body.stations[2, 1]
    start = {"glass": low, "lamps": body.lamps, "plate": body.plate, "bumper": bumper, "step": step}
    spots = np.array(panel["spots"]) * (1, high - low if panel["at"] == "glass" else 1)
    spots = spots + np.array((0, start[panel["at"]]))
    if radius := panel.get("radius"):
        spots = spots + circle(radius / body.half_width, radius)
    edges = np.linspace(spots, np.roll(spots, -1, axis=0), 6, endpoint=False)
    points = edges.swapaxes(0, 1).reshape(-1, 2)
    paint = panel.get("colour") or scaled(colour, panel["shade"])
    for side in (-1, 1) if panel.get("mirrored") else (1,):
        yield Face(body.on_skin(points * (side, 1)), paint, panel.get("light", (0, 0, 0)))
