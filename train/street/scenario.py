"""A street as data: which vehicles pass, when, where and under which light."""

from pathlib import Path
from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import Field

from plateid.config.section import Section
from train.synth.flat_plate import random_layout
from train.synth.plate_texts import random_rows
from train.toml_reading import read_toml

VISIBLE_M = (-6.0, 110.0)
"""A vehicle is drawn while the distance of its plate lies between these."""
LANE_M = 1.52
"""Distance of the centre of a lane from the centre line of the road."""
BRAKE_M_S2, DUSK_S = 2.0, 1.3
"""Deceleration before a stop and acceleration after it; time from day to night."""
REGIONS = ("ro", "de", "fr", "gb", "it", "es", "pl", "nl")
"""Countries of the vehicles of a random street."""
BodyName = Literal["hatchback", "sedan", "suv", "van"]


class StreetVehicle(Section):
    """One vehicle that drives past the camera, stops in view of it, or is parked."""

    plate: str = Field(description="Text; spaces are optional, a slash starts a second row")
    region: str = Field(description="Country code of a file in train/synth/layouts")
    arrives_s: float = Field(description="Second at which it reaches stop_m, driving or not")
    direction: Literal["towards", "away"] = "towards"
    body: BodyName = "hatchback"
    colour: Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")] = "#b2282c"
    speed_m_s: float = Field(default=4.0, gt=0)
    stop_m: float = Field(default=7.0, gt=0, description="Distance of the plate from the camera")
    stop_s: float = Field(
        default=0.0, ge=0, allow_inf_nan=True, description="Duration of the stop; inf: parked"
    )
    lane_m: float | None = Field(default=None, description="Right of the centre line; or its lane")

    @property
    def x_m(self) -> float:
        """Position of the vehicle, metres right of the centre line."""
        lane = LANE_M if self.direction == "away" else -LANE_M
        return lane if self.lane_m is None else self.lane_m

    def distance_m(self, at_s: float) -> float | None:
        """Returns the distance of the plate from the camera; None while the vehicle is not there.

        A vehicle that stops brakes before `arrives_s` and accelerates after `stop_s`.
        """
        before, after = self.arrives_s - at_s, at_s - self.arrives_s - self.stop_s
        moved = self._covered_m(after) if after > 0 else -self._covered_m(max(before, 0.0))
        distance = self.stop_m + (moved if self.direction == "away" else -moved)
        return distance if VISIBLE_M[0] < distance < VISIBLE_M[1] else None

    def _covered_m(self, seconds: float) -> float:
        slow = min(seconds, self.speed_m_s / BRAKE_M_S2) if self.stop_s else 0.0
        return BRAKE_M_S2 * slow**2 / 2 + self.speed_m_s * (seconds - slow)


class Street(Section):
    """A street with its vehicles, its light and its random seed."""

    vehicles: tuple[StreetVehicle, ...]
    length_s: float = Field(default=10.0, gt=0)
    night_s: float = Field(
        default=float("inf"),
        ge=0,
        allow_inf_nan=True,
        description="Second of nightfall; 0: night only",
    )
    signs: int = Field(default=0, ge=0, le=6, description="Signs with text beside the road")
    seed: int = 0

    def daylight(self, at_s: float) -> float:
        """Returns 1 by day and 0 by night."""
        return float(np.clip((self.night_s - at_s) / DUSK_S, 0, 1))


def read_street(path: Path) -> Street:
    """Reads a street from a TOML file; a TrainError names the key and the reason."""
    return read_toml(path, Street)


def random_street(count: int, *, seed: int = 0, every_s: float = 3.0) -> Street:
    """Returns a street on which `count` random vehicles pass, one every `every_s` seconds."""
    rng = np.random.default_rng((seed, 4))
    vehicles = []
    for number in range(count):
        region, layout = random_layout(rng, str(rng.choice(REGIONS)))
        rows = random_rows(rng, layout)
        vehicle = StreetVehicle(
            plate=" / ".join(" ".join(part.characters for part in row) for row in rows),
            region=region,
            arrives_s=2 + every_s * number,
            direction="towards" if rng.random() < 0.5 else "away",
            body=rng.choice(get_args(BodyName)),
            colour="#" + rng.integers(20, 230, 3, np.uint8).tobytes().hex(),
            speed_m_s=float(rng.uniform(3, 6)),
        )
        vehicles.append(vehicle)
    return Street(vehicles=tuple(vehicles), length_s=4 + every_s * count, seed=seed)
