"""One frame of the clip: the street, the cars of the moment, and what a real camera adds."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Box, Image
from train.scene.camera import Camera
from train.scene.draw import Map
from train.scene.glow import halos, light_road
from train.scene.scenario import FPS, LENGTH_S, PASSES, daylight
from train.scene.scenery import Scenery, build_scenery
from train.scene.vehicle import Pose, Vehicle, build_vehicle, draw_vehicle

CAMERA = Camera()
FRAMES = round(FPS * LENGTH_S)
SUPERSAMPLE = 2
SUBFRAMES = 3
EXPOSURE_S = (1 / 250, 1 / 100)
"""By day, by night; a plate camera keeps it short."""
NOISE = (1.3, 2.8)
"""Standard deviation in grey levels, by day and by night."""

Cars = list[tuple[Vehicle, Pose]]
Light = NDArray[np.float32]
"""Shape (H, W, 3), 0 to 255 and beyond."""


def render_frame(index: int, *, seed: int = 0) -> Image:
    """Frame `index` of the clip, BGR; the same seed gives the same pixels."""
    at_s = index / FPS
    day = daylight(at_s)
    bright = np.zeros((CAMERA.height, CAMERA.width, 3), np.float32)
    if day > 0:
        bright += _exposed(at_s, seed, night=False) * day
    if day < 1:
        bright += _exposed(at_s, seed, night=True) * (1 - day)
    grain = NOISE[0] * day + NOISE[1] * (1 - day)
    return _developed(bright, grain, np.random.default_rng((seed, 2, index)))


def plate_box(car: int, index: int) -> Box | None:
    """Where the plate of `PASSES[car]` is in frame `index`; None while the car is out of sight."""
    pose = PASSES[car].pose(index / FPS)
    if pose is None:
        return None
    corners = CAMERA.project(pose.world(_vehicles()[car].plate_corners()))
    (x1, y1), (x2, y2) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return x1, y1, x2, y2


@cache
def _scenery(seed: int) -> Scenery:
    return build_scenery(CAMERA.times(SUPERSAMPLE), seed)


@cache
def _vehicles() -> tuple[Vehicle, ...]:
    return tuple(build_vehicle(p.body, p.colour, p.style, p.plate) for p in PASSES)


@cache
def _grain() -> Map:
    """Noise to cut frames from, a little coarser than a pixel, as cameras leave it."""
    rng = np.random.default_rng(3)
    fine = rng.standard_normal((CAMERA.height + 256, CAMERA.width + 256), np.float32)
    soft = cv2.GaussianBlur(fine, (0, 0), 0.7)
    return np.asarray(soft / soft.std(), np.float32)


def _cars(at_s: float) -> Cars:
    """The cars in sight, the farthest first."""
    poses = [
        (vehicle, journey.pose(at_s)) for vehicle, journey in zip(_vehicles(), PASSES, strict=True)
    ]
    return sorted([(v, pose) for v, pose in poses if pose is not None], key=lambda car: -car[1].z)


def _exposed(at_s: float, seed: int, *, night: bool) -> Light:
    """The mean of the moments while the shutter is open."""
    camera, scenery = CAMERA.times(SUPERSAMPLE), _scenery(seed)
    street = (scenery.night if night else scenery.day).copy()
    if night:
        light_road(street, scenery.day, camera, _cars(at_s))
    total = np.zeros((CAMERA.height, CAMERA.width, 3), np.float32)
    for step in (np.arange(SUBFRAMES) + 0.5) / SUBFRAMES - 0.5:
        picture = street.copy()
        for vehicle, pose in _cars(at_s + float(step) * EXPOSURE_S[night]):
            draw_vehicle(picture, camera, vehicle, pose, night=night)
        total += cv2.resize(picture, (CAMERA.width, CAMERA.height), interpolation=cv2.INTER_AREA)
    total /= SUBFRAMES
    return total + halos(CAMERA, _cars(at_s)) if night else total


def _developed(bright: Light, grain: float, rng: np.random.Generator) -> Image:
    """Lens shading, exposure that wavers a little, noise."""
    y, x = np.ogrid[-1 : 1 : CAMERA.height * 1j, -1 : 1 : CAMERA.width * 1j]
    shading = (1 - 0.10 * (x**2 + y**2) / 2).astype(np.float32)
    exposure = np.float32(1 + 0.004 * rng.standard_normal())
    row, column = rng.integers(0, 256, 2)
    noise = _grain()[row : row + CAMERA.height, column : column + CAMERA.width]
    developed = bright * (shading * exposure)[..., None] + (noise * np.float32(grain))[..., None]
    return np.asarray(np.clip(developed + 0.5, 0, 255), np.uint8)
