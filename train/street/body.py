"""The shapes of vehicles, read from bodies.toml, which explains the coordinates."""

import tomllib
from dataclasses import dataclass
from importlib import resources

import numpy as np

from train.street.projection import Points

COLUMNS = np.array([-1.0, -0.9, -0.75, -0.4, 0.0, 0.4, 0.75, 0.9, 1.0])
"""Where the skin is divided from left to right, in half widths."""
SWEEP_AT, SWEEP = (0.0, 0.4, 0.82, 1.0), (0.0, 0.04, 0.24, 1.0)
"""How far the skin lies back at these half widths, in shares of what its ends lie back."""


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
    table = tomllib.loads(resources.files("train.street").joinpath("bodies.toml").read_text())
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
