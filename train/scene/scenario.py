"""The story of the clip: which cars pass, where and when."""

from dataclasses import dataclass

import numpy as np

from train.scene import cars, styles
from train.scene.body import Body
from train.scene.draw import Colour
from train.scene.plate import PlateStyle
from train.scene.vehicle import Pose

FPS = 30
LENGTH_S = 24.0
DUSK_S = (11.6, 12.9)
"""The picture fades from day to night between these."""

NEAR_M = 6.4
SLOW_M_S = 2.9
BRAKE_M_S2 = 1.3
"""A car passes slowly, as over a speed hump, and brakes before it or speeds up behind it."""
SEEN_M = (-6.0, 110.0)
"""A car is drawn while its nearer end is this far away."""


@dataclass(frozen=True)
class Pass:
    """One car that drives through the picture.

    Attributes:
        plate: With the gaps of the display form.
        region: Code as in `plateid/core/formats.toml`.
        lane: x of the car's middle when it passes.
        yaw: Radians; the car drifts across its lane by this much.
        near_s: When the end with the plate is `NEAR_M` away.
    """

    body: Body
    colour: Colour
    style: PlateStyle
    plate: str
    region: str
    lane: float
    yaw: float
    near_s: float

    def pose(self, at_s: float) -> Pose | None:
        """Where the car is; None while it is out of sight."""
        left_s = self.near_s - at_s if self.body.end == "front" else at_s - self.near_s
        z = NEAR_M + SLOW_M_S * left_s + 0.5 * BRAKE_M_S2 * max(left_s, 0.0) ** 2
        if not SEEN_M[0] < z < SEEN_M[1]:
            return None
        drift = float(np.clip(z - 9.0, -4.0, 20.0)) * np.tan(self.yaw)
        return Pose(self.lane + float(drift), z, self.yaw)


PASSES = (
    Pass(cars.HATCH_FRONT, (44, 40, 178), styles.ROMANIA, "MM 93 LXN", "ro", -1.50, 0.012, 4.6),
    Pass(cars.SUV_REAR, (92, 84, 78), styles.BRITAIN, "KX73 LPH", "gb", 1.55, -0.010, 3.6),
    Pass(cars.SUV_FRONT, (156, 92, 40), styles.CALIFORNIA, "7KXH349", "us", -1.45, 0.015, 9.6),
    Pass(cars.VAN_FRONT, (222, 220, 218), styles.GERMANY, "M XR 3497", "de", -1.52, 0.010, 16.8),
    Pass(cars.HATCH_REAR, (70, 124, 196), styles.MERCOSUR, "RXL4K93", "br", 1.52, -0.012, 15.6),
    Pass(cars.SEDAN_FRONT, (176, 178, 182), styles.FRANCE, "EK 749 HX", "fr", -1.48, 0.014, 21.6),
)


def daylight(at_s: float) -> float:
    """1 by day, 0 by night."""
    start, stop = DUSK_S
    share = float(np.clip((stop - at_s) / (stop - start), 0, 1))
    return share * share * (3 - 2 * share)
