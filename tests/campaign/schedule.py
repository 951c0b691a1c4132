"""What happens in a campaign, drawn from its seed before it starts: vehicles and faults."""

import itertools
import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from tests.campaign.plates import SYMBOLS, WHOLE

CAMERAS = ("http", "rtsp")
FAULTS = {
    "kill": ("service", 0.0, 2.0),
    "term": ("service", 0.0, 2.0),
    "stop": ("service", 0.2, 4.0),
    "cpu": ("service", 3.0, 10.0),
    "memory": ("service", 3.0, 8.0),
    "damage": ("service", 0.0, 1.0),
    "clock": ("clock", 0.0, 0.0),
    "broker-kill": ("broker", 0.5, 12.0),
    "broker-restart": ("broker", 0.5, 12.0),
    "broker-stop": ("broker", 0.5, 12.0),
    "camera-death": ("camera", 0.5, 10.0),
    "camera-freeze": ("camera", 0.5, 12.0),
    "camera-garbage": ("camera", 0.5, 8.0),
    "disk-full": ("disk", 2.0, 20.0),
    "disk-read-only": ("disk", 2.0, 20.0),
}
"""What each fault hits, and its shortest and longest duration, seconds."""
DISK = ("disk-full", "disk-read-only")
"""The faults that need a disk of their own."""
FIRST_S, LAST_S = 10.0, 15.0
"""Time without a new fault at the start and at the end, seconds."""
PAUSES_S = (5.0, 60.0)
"""Shortest and longest time between two faults of the same target, seconds."""
CROSSING_S = 7.0
"""Time that a vehicle takes from one side of the image to the other, seconds."""
GAPS_S = (2.5, 6.0)
"""Time between two vehicles, seconds: a track ends after 2 s."""
STANDS_S = (5.0, 25.0)
"""How long a vehicle stops in the middle of the image, seconds; one in three does."""
EDITS = 3
"""Minimum number of characters in which a plate differs from the recent ones of its camera."""


@dataclass(frozen=True)
class Vehicle:
    """One vehicle in front of one camera. Times are seconds since the start of the campaign."""

    camera: str
    plate: str
    enters: float
    stands_s: float

    @property
    def leaves(self) -> float:
        return self.enters + CROSSING_S + self.stands_s

    @property
    def whole(self) -> tuple[float, float]:
        """From when to when all of it is in the image."""
        return self.enters + WHOLE[0] * CROSSING_S, self.leaves - (1 - WHOLE[1]) * CROSSING_S

    @property
    def stops(self) -> float:
        """When it stops, or would stop."""
        return self.enters + CROSSING_S / 2

    def position(self, at: float) -> float:
        """Returns how far it has come (0-1)."""
        driven_s = min(at, self.stops) - self.enters + max(0.0, at - self.stops - self.stands_s)
        return driven_s / CROSSING_S


@dataclass(frozen=True)
class Fault:
    """One fault: `choice` (0-1) decides what is left open, such as the place of the damage."""

    kind: str
    target: str
    begins: float
    lasts_s: float
    choice: float


def draw_vehicles(seed: int, duration_s: float) -> dict[str, list[Vehicle]]:
    """Returns the vehicles of each camera; each has a plate of its own."""
    chance = random.Random(f"vehicles {seed}")
    return {camera: list(_traffic(camera, chance, duration_s)) for camera in CAMERAS}


def _traffic(camera: str, chance: random.Random, duration_s: float) -> Iterator[Vehicle]:
    at, plates = 4.0, list[str]()
    while at < duration_s - LAST_S:
        stands_s = chance.uniform(*STANDS_S) if chance.random() < 1 / 3 else 0.0
        plates.append(_new_plate(chance, plates, first=SYMBOLS[CAMERAS.index(camera)]))
        vehicle = Vehicle(camera, plates[-1], at, stands_s)
        if vehicle.leaves < duration_s - LAST_S:
            yield vehicle
        at = vehicle.leaves + chance.uniform(*GAPS_S)


def _new_plate(chance: random.Random, plates: list[str], *, first: str) -> str:
    """Returns a plate without equal neighbours, which CTC would merge."""
    while True:
        plate = first + "".join(chance.choices(SYMBOLS, k=5))
        doubled = any(a == b for a, b in itertools.pairwise(plate))
        near = any(sum(map(str.__ne__, plate, other)) < EDITS for other in plates[-50:])
        if not doubled and not near and plate not in plates:
            return plate


def draw_faults(seed: int, duration_s: float, kinds: Collection[str]) -> list[Fault]:
    """Returns the faults in the order of their begin; those of one target do not overlap."""
    faults = []
    targets = {_target(kind, camera) for kind in kinds for camera in CAMERAS}
    for target in sorted(targets):
        chance = random.Random(f"faults {seed} {target}")
        own = sorted(k for k in kinds if target.startswith(FAULTS[k][0]))
        at = chance.uniform(FIRST_S, PAUSES_S[1])
        while True:
            kind = chance.choice(own)
            lasts_s = chance.uniform(*FAULTS[kind][1:])
            if at + lasts_s > duration_s - LAST_S:
                break
            faults.append(Fault(kind, target, at, lasts_s, chance.random()))
            at += lasts_s + chance.uniform(*PAUSES_S)
    return sorted(faults, key=lambda fault: fault.begins)


def _target(kind: str, camera: str) -> str:
    target = FAULTS[kind][0]
    return f"camera {camera}" if target == "camera" else target
