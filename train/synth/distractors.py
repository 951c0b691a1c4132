"""Renders distractors, which a detector mistakes for plates: signs, grilles, badges, lamps."""

import cv2
import numpy as np

from plateid.core.records import Image
from train.synth.decorations import draw_seams, draw_text, random_caption, random_font
from train.synth.signs import render_sign
from train.synth.surroundings import mount_on_vehicle, smooth_noise
from train.synth.symbols import any_colour, fill_blob, fill_circle

BADGES = ("*", "* *", "*.de", "www.*.com", "* 4x4", "*tdi", "taxi *", "* & *")
"""Texts on a bumper; * stands for an invented word."""


def render_distractor(rng: np.random.Generator) -> Image:
    """Returns an image without a plate, of about a plate's shape, 40 to 160 pixels high."""
    height = int(rng.integers(40, 160))
    width = round(height * rng.uniform(1.2, 5))
    kinds = (_sign, _grille, _clutter, _badge, _lamps)
    return kinds[rng.integers(len(kinds))](rng, width, height)


def _sign(rng: np.random.Generator, width: int, height: int) -> Image:
    sign = render_sign(rng, height=height)
    sign = sign[:, : max(8, width)]
    behind = _clutter(rng, sign.shape[1], height)
    opacity = sign[:, :, 3:].astype(np.float32) / 255
    blended = behind + (sign[:, :, :3] - behind.astype(np.float32)) * opacity
    return np.asarray(blended.astype(np.uint8))


def _grille(rng: np.random.Generator, width: int, height: int) -> Image:
    image = _clutter(rng, width, height)
    step = max(3, round(height * rng.uniform(0.06, 0.25)))
    dark, light = rng.integers(0, 60), rng.integers(60, 230)
    thick = max(1, step // int(rng.integers(2, 5)))
    image[:] = (image // 6 + dark).astype(np.uint8)
    for y in range(0, height, step):
        cv2.line(image, (0, y), (width, y), (int(light),) * 3, thick)
    if rng.random() < 0.5:
        for x in range(0, width, round(step * rng.uniform(1, 3))):
            cv2.line(image, (x, 0), (x, height), (int(light),) * 3, thick)
    return image


def _clutter(rng: np.random.Generator, width: int, height: int) -> Image:
    """Returns the surroundings of a plate, or smooth noise with a few blobs."""
    if rng.random() < 0.5:
        plain = np.full((height // 2 + 4, width // 2 + 4, 3), any_colour(rng), np.uint8)
        vehicle, _ = mount_on_vehicle(rng, plain)
        return np.asarray(cv2.resize(vehicle, (width, height)), np.uint8)
    noise = np.stack([smooth_noise(rng, (width, height), (9, 5)) for _ in range(3)], axis=2)
    grey = noise.mean(axis=2, keepdims=True)
    noise = grey + (noise - grey) * rng.uniform(0, 0.6)
    image = np.clip(noise * rng.uniform(60, 255) + rng.uniform(0, 40), 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 6))):
        x, y, half = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.05, 0.5) * height
        fill_blob(rng, image, (x - half, y - half, x + half, y + half), any_colour(rng))
    return np.asarray(image)


def _badge(rng: np.random.Generator, width: int, height: int) -> Image:
    """Returns a make, model or address on a bumper: in lower case, or longer than any plate."""
    image = _clutter(rng, width, height)
    text = random_caption(rng, BADGES)
    text = text.lower() if rng.random() < 0.7 else f"{text}{text}".capitalize()
    font = random_font(rng, "caption")
    box = (0.05 * width, 0.3 * height, 0.95 * width, rng.uniform(0.5, 0.8) * height)
    draw_text(image, text, box, ink=any_colour(rng), font=font)
    return image


def _lamps(rng: np.random.Generator, width: int, height: int) -> Image:
    """Returns lamps, badges and slots on paint or on a blank plate."""
    image = _clutter(rng, width, height)
    if rng.random() < 0.4:
        x1, y1 = round(0.06 * width), round(0.1 * height)
        grey = int(rng.integers(120, 245))
        cv2.rectangle(image, (x1, y1), (width - x1, height - y1), (grey,) * 3, -1)
    if rng.random() < 0.4:
        draw_seams(rng, image, reach=0.5)
    for _ in range(int(rng.integers(1, 5))):
        at = (rng.uniform(0, width), rng.uniform(0, height))
        fill_circle(image, at, rng.uniform(0.05, 0.4) * height, any_colour(rng))
    return image
