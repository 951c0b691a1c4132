"""Draws the surroundings of a plate on a vehicle: paint, holder, shadows, dirt, obstacles."""

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Image
from train.synth.decorations import LETTERS, draw_seams, draw_text, random_font
from train.synth.symbols import any_colour, fill_blob

MARGIN = 0.6
"""Width of the surroundings on each side, plate heights. Crops include a part of them."""


def mount_on_vehicle(rng: np.random.Generator, plate: Image) -> tuple[Image, int]:
    """Returns an image of the plate on a vehicle, and its margin on each side, pixels."""
    height, width = plate.shape[:2]
    margin = max(4, round(MARGIN * height))
    image = _paint(rng, (width + 2 * margin, height + 2 * margin))
    if rng.random() < 0.55:
        _draw_holder(rng, image, margin)
    if rng.random() < 0.12:
        sides = image[round(0.7 * margin) : image.shape[0] - round(0.7 * margin)]
        draw_seams(rng, sides, reach=1.2 * margin / image.shape[1])
    inside = image[margin : margin + height, margin : margin + width]
    if rng.random() < 0.5:  # the plate is in a dark recess
        inset = margin - round(margin * rng.uniform(0.05, 0.5))
        part = image[inset : image.shape[0] - inset, inset : image.shape[1] - inset]
        part[:] = (part * rng.uniform(0.3, 0.9)).astype(np.uint8)
    inside[:] = _round_corners(rng, plate, inside)
    if rng.random() < 0.3:
        _draw_dirt(rng, inside)
    if rng.random() < 0.25:
        _draw_shadow(rng, image)
    if rng.random() < 0.04:
        _draw_obstacle(rng, image, margin)
    return image, margin


def _paint(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    width, height = size
    ends = rng.integers(5, 235, (2, 1, 1)) + rng.normal(0, 14, (2, 1, 3))
    if rng.random() < 0.6:
        ends[1] = ends[0] + rng.normal(0, 25)
    small = ends[0] + (ends[1] - ends[0]) * np.linspace(0, 1, 16)[:, None, None]
    small = np.repeat(small, 16, axis=1) + rng.normal(0, rng.uniform(1, 12), (16, 16, 1))
    pixels = np.clip(small, 0, 255).astype(np.uint8)
    image = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    for _ in range(int(rng.integers(0, 6))):
        _draw_edge(rng, image, width, height)
    return image


def _draw_edge(rng: np.random.Generator, image: Image, width: int, height: int) -> None:
    grey = int(rng.integers(0, 256))
    colour = (grey, grey, grey) if rng.random() < 0.75 else any_colour(rng)
    kind = rng.random()
    thick = max(1, round(rng.uniform(0.01, 0.1) * height))
    if kind < 0.6:
        y, lift = rng.uniform(0, height), rng.normal(0, 0.05) * height
        cv2.line(image, (0, round(y)), (width, round(y + lift)), colour, thick)
    elif kind < 0.75:
        x = rng.uniform(0, width)
        cv2.line(image, (round(x), 0), (round(x + rng.normal(0, 8)), height), colour, thick)
    elif kind < 0.85:
        step = max(3, round(rng.uniform(0.05, 0.15) * height))
        image[::step] = colour
    else:
        x, y, half = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.1, 0.4) * height
        fill_blob(rng, image, (x - half, y - half, x + half, y + half), colour)


def _draw_holder(rng: np.random.Generator, image: Image, margin: int) -> None:
    height, width = image.shape[0] - 2 * margin, image.shape[1] - 2 * margin
    grey = int(rng.choice([rng.integers(5, 60), rng.integers(150, 240)], p=[0.75, 0.25]))
    colour = (grey, grey, grey) if rng.random() < 0.9 else any_colour(rng)
    rim = rng.uniform(0.02, 0.12, 3) * height
    below = margin + height + max(rim[2], rng.uniform(0, 0.25) * height)
    upper_left = (round(margin - rim[0]), round(margin - rim[1]))
    lower_right = (round(margin + width + rim[0]), round(below))
    cv2.rectangle(image, upper_left, lower_right, colour, -1)
    text = "".join(rng.choice([*LETTERS, " ", ".", "-"], int(rng.integers(5, 22))))
    font = random_font(rng, "caption")
    ink = (220, 220, 220) if grey < 128 else (40, 40, 40)
    box = (margin + 0.1 * width, margin + height + 1, margin + 0.9 * width, below - 1)
    draw_text(image, text, box, ink=ink, font=font)


def _round_corners(rng: np.random.Generator, plate: Image, behind: Image) -> Image:
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


def smooth_noise(
    rng: np.random.Generator, size: tuple[int, int], cells: tuple[int, int]
) -> NDArray[np.float32]:
    """Returns noise, about 0 to 1: a grid of (columns, rows), enlarged to (width, height)."""
    coarse = rng.random((cells[1], cells[0]), np.float32)
    return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), np.float32)


def _draw_dirt(rng: np.random.Generator, plate: Image) -> None:
    height, width = plate.shape[:2]
    colour = np.array(rng.choice([60, 95, 140])) + rng.normal(0, 12, 3)
    cells = (int(rng.integers(4, 26)), int(rng.integers(3, 9)))
    cover = smooth_noise(rng, (width, height), cells) - rng.uniform(0.3, 0.8)
    opacity = np.clip(cover * rng.uniform(1, 4), 0, rng.uniform(0.2, 0.75))
    opacity = opacity[:, :, None] + (rng.uniform(0, 0.35) if rng.random() < 0.3 else 0.0)
    plate[:] = np.clip(plate + (colour - plate) * opacity, 0, 255).astype(np.uint8)


def _draw_shadow(rng: np.random.Generator, image: Image) -> None:
    height, width = image.shape[:2]
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    turn = rng.uniform(0, 2 * np.pi) if rng.random() < 0.5 else np.pi / 2 + rng.normal(0, 0.15)
    x, y = rng.uniform(0.1, 0.9) * width, rng.uniform(0.25, 0.8) * height
    across = (xs - x) * np.cos(turn) + (ys - y) * np.sin(turn)
    soft = np.clip(across / (rng.uniform(0.01, 0.3) * height) + 0.5, 0, 1)[:, :, None]
    image[:] = (image * (1 - soft * rng.uniform(0.25, 0.75))).astype(np.uint8)


def _draw_obstacle(rng: np.random.Generator, image: Image, margin: int) -> None:
    """Draws a tow bar or a cable in front of an edge of the plate; it hides no character."""
    height, width = image.shape[:2]
    upper = rng.random() < 0.5
    offset = margin * rng.uniform(0.2, 1.05)
    y = offset if upper else height - offset
    thick = max(1, round(rng.uniform(0.02, 0.06) * height))
    end = (width, round(y + rng.normal(0, 0.03) * height))
    cv2.line(image, (0, round(y)), end, any_colour(rng), thick)
