"""The ground: asphalt with its marks, kerbs, pavement and grass, pixel by pixel."""

import cv2
import numpy as np

from plateid.core.records import Image
from train.scene.camera import Camera
from train.scene.draw import Map, noise, over

ROAD_M, KERB_M, PAVEMENT_M = 3.2, 3.38, 5.1
"""Distance of the edges from the road's middle."""
LANE_M = 1.55
"""Distance of a lane's middle from the road's middle."""

ASPHALT, KERBSTONE, PAVEMENT, GRASS = (102, 98, 96), (150, 152, 154), (138, 144, 148), (62, 112, 88)
MARK = (214, 218, 220)


def paint_road(picture: Image, camera: Camera, rng: np.random.Generator) -> None:
    """Paints everything below the horizon."""
    x, z = camera.ground()
    view = picture[camera.height - x.shape[0] :]
    away, pixel = np.abs(x), z / camera.focal
    view[:] = GRASS
    over(view, PAVEMENT, _inside(away, PAVEMENT_M, pixel))
    over(view, KERBSTONE, _inside(away, KERB_M, pixel))
    over(view, ASPHALT, _inside(away, ROAD_M, pixel))
    grain = _grain(x, z, rng)
    wheels = np.exp(-(((np.abs(away - LANE_M) - 0.72) / 0.28) ** 2)) * (away < ROAD_M)
    gain = 1 + grain * np.where(away < PAVEMENT_M, 0.05, 0.11) - 0.07 * wheels
    gain -= 0.25 * np.exp(-(((away - ROAD_M + 0.03) / 0.05) ** 2))
    view[:] = np.clip(view * gain[..., None], 0, 255).astype(np.uint8)
    _slabs(view, away, z, pixel)
    _marks(view, x, z, pixel)
    _haze(view, z)


def _inside(distance: Map, edge: float, pixel: Map) -> Map:
    """1 where `distance` is below `edge`, with an edge one pixel wide."""
    return np.asarray(np.clip((edge - distance) / pixel + 0.5, 0, 1), np.float32)


def _grain(x: Map, z: Map, rng: np.random.Generator) -> Map:
    """Noise fixed to the ground, fading where it is finer than a pixel."""
    total = np.zeros(x.shape, np.float32)
    for size, weight, reach in (
        (0.03, 0.9, 14.0),
        (0.15, 0.8, 35.0),
        (0.9, 0.7, 80.0),
        (4.0, 0.7, 300.0),
    ):
        tile = noise(rng, (256, 256), [(255, 255)])
        columns, rows = (x / size + 400) % 255, (z / size * 0.5) % 255
        sampled = cv2.remap(tile, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        total += sampled * weight * np.clip(1.5 - z / reach, 0, 1)
    return total


def _slabs(view: Image, away: Map, z: Map, pixel: Map) -> None:
    """Joints across the pavement and the kerb."""
    across = (away > ROAD_M) & (away < PAVEMENT_M)
    footprint = pixel * z / 2.05
    joint = np.abs((z + 0.6) % 1.2 - 0.6)
    dark = np.clip((0.012 - joint) / footprint + 0.5, 0, 1) * np.clip(0.02 / footprint, 0, 1)
    over(view, (84, 88, 92), (dark * across * 0.8).astype(np.float32))


def _marks(view: Image, x: Map, z: Map, pixel: Map) -> None:
    """A dashed line in the middle and one along each edge."""
    dashed = _inside(np.abs(x), 0.06, pixel) * _inside(
        np.abs((z + 1.0) % 4.0 - 2.0), 1.0, pixel * z / 2.05
    )
    edges = _inside(np.abs(np.abs(x) - 2.95), 0.05, pixel)
    over(view, MARK, np.maximum(dashed, edges) * np.float32(0.85))


def _haze(view: Image, z: Map) -> None:
    over(view, (206, 206, 200), np.clip(1 - np.exp(-(z - 20) / 260), 0, 0.6).astype(np.float32))
