"""Small drawing helpers: antialiased shapes with sub-pixel corners, noise, blends."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from plateid.core.records import Image

Colour = Sequence[float]
"""Blue, green, red; 0 to 255."""
Map = NDArray[np.float32]
"""Shape (H, W)."""

_SHIFT = 4


def polygon(picture: NDArray[np.uint8], corners: ArrayLike, colour: Colour) -> None:
    """Fills a polygon whose corners, shape (N, 2), are in pixels and may lie outside."""
    points = np.clip(np.asarray(corners, np.float64), -20000, 20000) * (1 << _SHIFT)
    cv2.fillPoly(
        picture, [points.round().astype(np.int32)], tuple(map(float, colour)), cv2.LINE_AA, _SHIFT
    )


def ellipse(
    picture: NDArray[np.uint8], centre: ArrayLike, radii: ArrayLike, colour: Colour
) -> None:
    """Fills an upright ellipse."""
    turns = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    ring = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    polygon(picture, np.asarray(centre, np.float64) + ring * np.asarray(radii, np.float64), colour)


def mix(one: Colour, other: Colour, share: float) -> tuple[float, float, float]:
    """`one` where share is 0, `other` where it is 1."""
    blue, green, red = (a + (b - a) * share for a, b in zip(one, other, strict=True))
    return blue, green, red


def pixel(colour: Colour) -> NDArray[np.float32]:
    """The colour as an array, shape (3,)."""
    return np.array(tuple(colour), np.float32)


def dim(colour: Colour, gain: float) -> tuple[float, float, float]:
    """The colour under `gain` times the light."""
    blue, green, red = (min(255.0, channel * gain) for channel in colour)
    return blue, green, red


def noise(
    rng: np.random.Generator, shape: tuple[int, int], cells: Sequence[tuple[int, int]]
) -> Map:
    """Sum of smooth noises, each with its own cells down and across; mean 0, deviation 1."""
    total = np.zeros(shape, np.float32)
    for weight, (down, across) in enumerate(cells, 1):
        grid = rng.standard_normal((down + 1, across + 1)).astype(np.float32)
        total += cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC) / weight
    total -= total.mean()
    return total / np.float32(max(float(total.std()), 1e-6))


def lit(picture: Image, gain: ArrayLike) -> Image:
    """`picture` times `gain`, which may be a number, a colour or a map of either."""
    return np.clip(picture * np.asarray(gain, np.float32), 0, 255).astype(np.uint8)


def over(picture: Image, colour: Colour | Image, weight: Map) -> None:
    """Lays `colour` over `picture`, `weight` (0 to 1) of it, in place."""
    share = weight[..., None]
    picture[:] = (picture * (1 - share) + np.asarray(colour, np.float32) * share + 0.5).astype(
        np.uint8
    )
