"""The street without vehicles, by day and at night: sky, trees, signs and road."""

import cv2
import numpy as np
from numpy.typing import ArrayLike

from plateid.core.records import Image
from train.street.projection import Colour, Projection, circle, fill, scaled
from train.synth.signs import render_sign

EDGES = ((5.1, (138, 144, 148)), (3.38, (150, 152, 154)), (3.2, (102, 98, 96)))
"""Distance from the centre line, metres, and colour of pavement, kerb and asphalt."""
GRASS, MARKING, POST, AIR = (62, 112, 88), (214, 218, 220), (92, 92, 88), (210, 208, 200)
"""BGR colours of grass, road markings, posts, and haze."""
HAZE_M = 260
"""Distance at which 1/e of a colour is left."""
LAMPS = ((-4.3, 15.0), (4.3, 24.0), (-4.3, 38.0), (4.3, 55.0), (-4.3, 75.0))
SIGNS = ((3.9, 14.0), (-3.9, 17.0), (3.8, 20.0), (-3.8, 26.0), (3.8, 33.0), (-3.8, 42.0))
"""x and z of the street lamps, which are out of view above, and of the signs."""
DUSK, LAMPLIGHT = (0.23, 0.18, 0.15), (0.20, 0.40, 0.54)
"""Blue, green and red light at night: share of the day's under the sky and under a lamp."""


def paint_scenery(projection: Projection, *, seed: int, signs: int) -> tuple[Image, Image]:
    """Returns the street as the camera sees it by day and at night, with a number of signs."""
    rng = np.random.default_rng((seed, 2))
    painter = _Painter(Projection(projection.width * 2, projection.height * 2), rng)
    painter.paint_ground()
    for distance in range(168, 10, -6):
        side = 1 if distance // 6 % 2 else -1
        painter.paint_tree(side * rng.uniform(6.2, 7.4), distance - 6)
    for place in reversed(SIGNS[:signs]):
        painter.paint_sign(*place)
    size = (projection.width, projection.height)
    day = np.asarray(cv2.resize(painter.image, size, interpolation=cv2.INTER_AREA), np.uint8)
    light = np.full(day.shape, DUSK)
    x, z = projection.ground()
    for lamp_x, lamp_z in LAMPS:
        pool = (1 + ((x - lamp_x * 0.7) ** 2 + (z - lamp_z) ** 2) / 14) ** -1.5
        light[-len(x) :] += pool[..., None] * LAMPLIGHT
    return day, np.clip(day * light, 0, 255).astype(np.uint8)


class _Painter:
    def __init__(self, projection: Projection, rng: np.random.Generator) -> None:
        self._projection, self._rng = projection, rng
        self.image = np.full((projection.height, projection.width, 3), GRASS, np.uint8)
        sky = self.image[: projection.horizon + 2]
        sky[:] = np.linspace((226, 178, 128), (236, 226, 214), len(sky))[:, None]

    def paint_ground(self) -> None:
        strips = [(-edge, edge, 1, 999, colour) for edge, colour in EDGES]
        strips += [(x - 0.05, x + 0.05, 1, 999, MARKING) for x in (-2.95, 2.95)]
        strips += [(-0.06, 0.06, z, z + 2, MARKING) for z in range(4, 400, 4)]
        for left, right, near, far, colour in strips:
            self._fill([(left, 0, near), (right, 0, near), (right, 0, far), (left, 0, far)], colour)
        x, z = self._projection.ground()
        gain = np.ones(x.shape, np.float32)
        for size, reach in ((0.03, 14), (0.15, 35), (0.9, 80), (4.0, 300)):
            tile = self._rng.standard_normal((256, 256), np.float32)
            noise = cv2.remap(tile, (x / size + 400) % 255, z / size / 2 % 255, cv2.INTER_LINEAR)
            gain += 0.05 * noise * np.clip(1.5 - z / reach, 0, 1)
        haze = np.clip(1 - np.exp((20 - z) / HAZE_M), 0, 0.6)[..., None]
        ground = self.image[-len(x) :]
        ground[:] = np.clip(ground * gain[..., None] * (1 - haze) + haze * AIR, 0, 255)

    def paint_tree(self, x: float, z: float) -> None:
        tall = self._rng.uniform(4.6, 6)
        trunk = [(x - 0.16, 0, z), (x + 0.16, 0, z), (x + 0.1, tall / 2, z), (x - 0.1, tall / 2, z)]
        self._fill(trunk, _hazy((52, 66, 84), z))
        for light in np.linspace(0, 1, 300):
            spot = self._rng.normal(0, 0.14, 2) * (1 - 0.35 * light) + (-0.06 * light, 0.09 * light)
            leaf = circle(self._rng.uniform(0.02, 0.06) * (1.5 - 0.7 * light)) + spot + (0, 0.72)
            green = (44 + 26 * light, 78 + 58 * light, 52 + 50 * light)
            self._fill(np.insert(leaf * tall, 2, 0, axis=1) + np.array((x, 0, z)), _hazy(green, z))

    def paint_sign(self, x: float, z: float) -> None:
        """Paints a board with text on a post."""
        self._fill([(x - 0.03, 0, z), (x + 0.03, 0, z), (x, 2, z)], POST)
        left, top = np.maximum(self._projection.project((x - 0.5, 1.6, z)).astype(int), 0)
        board = render_sign(self._rng, height=int(0.4 * self._projection.focal_px / z))
        part = self.image[top : top + len(board), left : left + board.shape[1]]
        board = board[: part.shape[0], : part.shape[1]]
        part[:] = part + (board[..., :3] - part.astype(float)) * (board[..., 3:] / 255)

    def _fill(self, outline: ArrayLike, colour: Colour) -> None:
        fill(self.image, self._projection.project(outline), colour)


def _hazy(colour: Colour, z: float) -> Colour:
    share = np.exp(-z / HAZE_M)
    return scaled(np.array(colour) * share + np.array(AIR) * (1 - share), 1)
