"""Where a plate hangs: holder, bumper, shadows, dirt, and a margin that crops cut into."""

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Image
from train.synth.decorations import LETTERS, random_font, write
from train.synth.symbols import any_colour, blob

MARGIN = 0.6
"""Of a plate's height: what is drawn around it."""


def mount_on_vehicle(rng: np.random.Generator, plate: Image) -> tuple[Image, int]:
    """The plate on a car.

    Returns:
        The picture, and how many pixels it has on each side of the plate.
    """
    height, width = plate.shape[:2]
    margin = max(4, round(MARGIN * height))
    scene = _body(rng, (width + 2 * margin, height + 2 * margin))
    if rng.random() < 0.55:
        _holder(rng, scene, margin)
    inside = scene[margin : margin + height, margin : margin + width]
    _cast_shadow(rng, scene, margin)
    inside[:] = _round_corners(rng, plate, inside)
    if rng.random() < 0.3:
        _dirt(rng, inside)
    if rng.random() < 0.25:
        _shade(rng, scene)
    if rng.random() < 0.04:
        _in_the_way(rng, scene, margin)
    return scene, margin


def _body(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    """Paint from light to dark with a few edges, or any clutter."""
    width, height = size
    ends = rng.integers(5, 235, (2, 1, 1)) + rng.normal(0, 14, (2, 1, 3))
    if rng.random() < 0.6:
        ends[1] = ends[0] + rng.normal(0, 25)
    small = ends[0] + (ends[1] - ends[0]) * np.linspace(0, 1, 16)[:, None, None]
    small = np.repeat(small, 16, axis=1) + rng.normal(0, rng.uniform(1, 12), (16, 16, 1))
    scene = cv2.resize(
        np.clip(small, 0, 255).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR
    )
    for _ in range(int(rng.integers(0, 6))):
        _edge(rng, scene, width, height)
    return np.asarray(scene, np.uint8)


def _edge(rng: np.random.Generator, scene: Image, width: int, height: int) -> None:
    grey = int(rng.integers(0, 256))
    colour = (grey, grey, grey) if rng.random() < 0.75 else any_colour(rng)
    kind = rng.random()
    thick = max(1, round(rng.uniform(0.01, 0.1) * height))
    if kind < 0.6:
        y, lift = rng.uniform(0, height), rng.normal(0, 0.05) * height
        cv2.line(scene, (0, round(y)), (width, round(y + lift)), colour, thick)
    elif kind < 0.75:
        x = rng.uniform(0, width)
        cv2.line(scene, (round(x), 0), (round(x + rng.normal(0, 8)), height), colour, thick)
    elif kind < 0.85:
        step = max(3, round(rng.uniform(0.05, 0.15) * height))
        scene[::step] = colour
    else:
        x, y, half = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.1, 0.4) * height
        blob(rng, scene, (x - half, y - half, x + half, y + half), colour)


def _holder(rng: np.random.Generator, scene: Image, margin: int) -> None:
    """A frame around the plate, dark or of chrome; often a dealer's words in it."""
    height, width = scene.shape[0] - 2 * margin, scene.shape[1] - 2 * margin
    grey = int(rng.choice([rng.integers(5, 60), rng.integers(150, 240)], p=[0.75, 0.25]))
    colour = (grey, grey, grey) if rng.random() < 0.9 else any_colour(rng)
    rim = rng.uniform(0.02, 0.12, 3) * height
    below = margin + height + max(rim[2], rng.uniform(0, 0.25) * height)
    corners = (
        (round(margin - rim[0]), round(margin - rim[1])),
        (round(margin + width + rim[0]), round(below)),
    )
    cv2.rectangle(scene, *corners, colour, -1)
    words = "".join(rng.choice([*LETTERS, " ", ".", "-"], int(rng.integers(5, 22))))
    font = random_font(rng, "caption")
    light = (220, 220, 220) if grey < 128 else (40, 40, 40)
    box = (margin + 0.1 * width, margin + height + 1, margin + 0.9 * width, below - 1)
    write(scene, words, box, ink=light, font=font)


def _round_corners(rng: np.random.Generator, plate: Image, behind: Image) -> Image:
    """The plate before what is behind it, its corners cut round."""
    if rng.random() < 0.4:
        return plate
    height, width = plate.shape[:2]
    radius = max(1, round(rng.uniform(0.03, 0.12) * height))
    shape = np.zeros((height, width), np.uint8)
    cv2.rectangle(shape, (radius, 0), (width - radius - 1, height), 255, -1)
    cv2.rectangle(shape, (0, radius), (width, height - radius - 1), 255, -1)
    for x in (radius, width - radius - 1):
        for y in (radius, height - radius - 1):
            cv2.circle(shape, (x, y), radius, 255, -1)
    return np.where(shape[:, :, None] > 0, plate, behind)


def _cast_shadow(rng: np.random.Generator, scene: Image, margin: int) -> None:
    """The recess around the plate is darker than the paint."""
    if rng.random() < 0.5:
        reach = round(margin * rng.uniform(0.05, 0.5))
        part = scene[
            margin - reach : scene.shape[0] - margin + reach,
            margin - reach : scene.shape[1] - margin + reach,
        ]
        part[:] = (part * rng.uniform(0.3, 0.9)).astype(np.uint8)


def patches(
    rng: np.random.Generator, size: tuple[int, int], cells: tuple[int, int]
) -> NDArray[np.float32]:
    """Smooth chance from about 0 to 1, shape (height, width); cells are columns, rows."""
    coarse = rng.random((cells[1], cells[0]), np.float32)
    return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), np.float32)


def _dirt(rng: np.random.Generator, plate: Image) -> None:
    """Mud in patches, or a haze of dust over everything."""
    height, width = plate.shape[:2]
    colour = np.array(rng.choice([60, 95, 140])) + rng.normal(0, 12, 3)
    cover = patches(rng, (width, height), (int(rng.integers(4, 26)), int(rng.integers(3, 9))))
    opacity = np.clip(
        (cover - rng.uniform(0.3, 0.8)) * rng.uniform(1, 4), 0, rng.uniform(0.2, 0.75)
    )
    opacity = opacity[:, :, None] + (rng.uniform(0, 0.35) if rng.random() < 0.3 else 0.0)
    plate[:] = np.clip(plate + (colour - plate) * opacity, 0, 255).astype(np.uint8)


def _shade(rng: np.random.Generator, scene: Image) -> None:
    """A straight edge of shadow across the scene."""
    height, width = scene.shape[:2]
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    turn = rng.uniform(0, 2 * np.pi) if rng.random() < 0.5 else np.pi / 2 + rng.normal(0, 0.15)
    across = (xs - rng.uniform(0.1, 0.9) * width) * np.cos(turn) + (
        ys - rng.uniform(0.25, 0.8) * height
    ) * np.sin(turn)
    soft = np.clip(across / (rng.uniform(0.01, 0.3) * height) + 0.5, 0, 1)[:, :, None]
    scene[:] = (scene * (1 - soft * rng.uniform(0.25, 0.75))).astype(np.uint8)


def _in_the_way(rng: np.random.Generator, scene: Image, margin: int) -> None:
    """A tow bar or a cable before an edge of the plate; it hides no character."""
    height, width = scene.shape[:2]
    y = (
        margin * rng.uniform(0.2, 1.05)
        if rng.random() < 0.5
        else height - margin * rng.uniform(0.2, 1.05)
    )
    thick = max(1, round(rng.uniform(0.02, 0.06) * height))
    cv2.line(
        scene,
        (0, round(y)),
        (width, round(y + rng.normal(0, 0.03) * height)),
        any_colour(rng),
        thick,
    )
