"""What stands still: sky, hills, trees, houses, lamps and the road, by day and by night."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Grey, Image
from train.scene.camera import Camera
from train.scene.draw import Map, noise, over, pixel, polygon
from train.scene.planting import plant
from train.scene.road import paint_road

LAMPS = ((-4.3, 15.0), (4.3, 24.0), (-4.3, 38.0), (4.3, 55.0), (-4.3, 75.0))
"""Where the street lamps stand, x and z."""
LAMP_HEIGHT_M = 5.2
DUSK = (0.23, 0.18, 0.15)
"""What is left of blue, green and red light at night."""
SODIUM = (0.20, 0.40, 0.54)


@dataclass(frozen=True, eq=False)
class Scenery:
    """Two pictures of the empty street."""

    day: Image
    night: Image


def build_scenery(camera: Camera, seed: int) -> Scenery:
    """Paints the street as this camera sees it."""
    rng = np.random.default_rng((seed, 1))
    day = np.zeros((camera.height, camera.width, 3), np.uint8)
    windows = np.zeros((camera.height, camera.width), np.uint8)
    _sky(day, camera, rng)
    _hills(day, camera, rng)
    paint_road(day, camera, rng)
    bare = day.copy()
    plant(day, windows, camera, rng)
    _lamp_posts(day, camera)
    sky = (day == bare).all(axis=2)
    sky[int(camera.horizon) :] = False
    return Scenery(day, _night(day, windows, sky, camera))


def _sky(picture: Image, camera: Camera, rng: np.random.Generator) -> None:
    tall = int(camera.horizon) + 2
    down = np.linspace(0, 1, tall, dtype=np.float32)[:, None, None]
    picture[:tall] = pixel((226, 178, 128)) * (1 - down) + pixel((236, 226, 214)) * down
    clouds = noise(rng, (tall, camera.width), [(3, 6), (6, 14), (10, 30), (16, 60)])
    over(
        picture[:tall],
        (246, 244, 242),
        np.clip(clouds * 0.35 + 0.1, 0, 0.8) * (1 - 0.6 * down[..., 0]),
    )


def _hills(picture: Image, camera: Camera, rng: np.random.Generator) -> None:
    layers = ((0.42, (196, 182, 158)), (0.26, (160, 158, 128)), (0.12, (104, 124, 92)))
    columns = np.arange(camera.width)
    for rise, colour in layers:
        ridge = noise(rng, (1, camera.width), [(1, 4), (1, 9), (1, 22), (1, 70)])[0]
        rows = camera.horizon * (1 - rise - 0.06 * ridge)
        outline = np.vstack(
            [
                np.stack([columns, rows], axis=1),
                [[camera.width, camera.horizon + 2], [0, camera.horizon + 2]],
            ]
        )
        polygon(picture, outline, colour)


def _lamp_posts(picture: Image, camera: Camera) -> None:
    for x, z in sorted(LAMPS, key=lambda lamp: -lamp[1]):
        inward = -np.sign(x)
        foot, top = 0.07, 0.045
        pole = [
            (x - foot, 0, z),
            (x + foot, 0, z),
            (x + top, LAMP_HEIGHT_M, z),
            (x - top, LAMP_HEIGHT_M, z),
        ]
        polygon(picture, camera.project(pole), (92, 92, 88))
        arm = [(x, 5.1, z), (x + inward * 1.1, 5.25, z), (x + inward * 1.1, 5.35, z), (x, 5.2, z)]
        polygon(picture, camera.project(arm), (92, 92, 88))


def lamp_light(camera: Camera) -> Map:
    """How much lamp light falls on the road under each pixel; 0 above the horizon."""
    x, z = camera.ground()
    light = np.zeros((camera.height, camera.width), np.float32)
    below = light[camera.height - x.shape[0] :]
    for lamp_x, lamp_z in LAMPS:
        squared = (x - lamp_x * 0.7) ** 2 + (z - lamp_z) ** 2
        below += 1 / (1 + squared / 14.0) ** 1.5
    return light


def _night(day: Image, windows: Grey, sky: NDArray[np.bool_], camera: Camera) -> Image:
    light = pixel(DUSK) + lamp_light(camera)[..., None] * pixel(SODIUM)
    bright = day.astype(np.float32) * light
    blueness = np.clip((day[..., :1].astype(np.float32) - 150) / 60, 0, 1) * sky[..., None]
    down = np.clip(np.arange(camera.height, dtype=np.float32) / camera.horizon, 0, 1)[:, None, None]
    dark = pixel((52, 32, 22)) * (1 - down) + pixel((74, 58, 54)) * down
    bright = bright * (1 - blueness) + dark * blueness
    warm = windows.astype(np.float32) / 255
    glow = cv2.GaussianBlur(warm, (0, 0), 8) * 0.5 + warm * 0.8
    bright += glow[..., None] * pixel((70, 150, 200))
    for x, z in LAMPS:
        _lamp_head(bright, camera, (x - np.sign(x) * 1.0, 5.2, z))
    return np.asarray(np.clip(bright, 0, 255), np.uint8)


def _lamp_head(bright: NDArray[np.float32], camera: Camera, at: tuple[float, float, float]) -> None:
    column, row = camera.project(at)
    if row < -200:
        return
    rows, columns = np.ogrid[: int(camera.horizon) * 2, : camera.width]
    squared = ((columns - column) ** 2 + (rows - row) ** 2) / (camera.focal * 0.14 / at[2]) ** 2
    light = (1 / (1 + squared) ** 1.4 + 0.08 / (1 + squared / 60)).astype(np.float32)
    bright[: light.shape[0]] += light[..., None] * pixel((150, 220, 255))
