"""The pinhole camera over the road.

World coordinates are metres: x to the right, y up from the road, z away from the camera along the
road. The picture plane is upright and its centre shifted, so that upright things stay upright and
the horizon is a row.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]
"""Shape (..., 2) in pixels or (..., 3) in metres."""

NEAREST_M = 0.6
"""Points nearer than this are moved here: what they belong to is far outside the picture."""


@dataclass(frozen=True)
class Camera:
    """Where the camera is and how it draws.

    Attributes:
        focal: In pixels.
        horizon: The row where the road would end.
        x: Metres right of the road's middle.
        above: Metres above the road.
    """

    width: int = 1280
    height: int = 720
    focal: float = 2200.0
    horizon: float = 150.0
    x: float = 0.1
    above: float = 2.05

    def project(self, points: ArrayLike) -> Points:
        """World to picture; shape (..., 3) to (..., 2)."""
        world = np.asarray(points, np.float64)
        scale = self.focal / np.maximum(world[..., 2], NEAREST_M)
        columns = self.width / 2 + (world[..., 0] - self.x) * scale
        rows = self.horizon + (self.above - world[..., 1]) * scale
        return np.stack([columns, rows], axis=-1)

    def ground(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """World x and z of the road under each pixel below the horizon."""
        first = int(self.horizon) + 1
        rows = np.arange(first, self.height) + 0.5 - self.horizon
        z = (self.focal * self.above / rows)[:, None]
        x = (np.arange(self.width) + 0.5 - self.width / 2)[None, :] * z / self.focal + self.x
        return x.astype(np.float32), np.broadcast_to(z, x.shape).astype(np.float32)

    def times(self, factor: int) -> "Camera":
        """The same view with `factor` times the pixels."""
        return Camera(
            self.width * factor,
            self.height * factor,
            self.focal * factor,
            self.horizon * factor,
            self.x,
            self.above,
        )
