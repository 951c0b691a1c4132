"""Draws the small symbols of a plate: separators, seals, crests, stickers, bolts, stars."""

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Box, Image

Colour = tuple[int, int, int]
"""Blue, green, red."""
STROKES = {"dash": ((0.1, 0.2), (0.035, 0.07)), "bar": ((0.02, 0.06), (0.2, 0.55))}
"""Ranges of half the width and half the height of a stroke, in heights of a character."""
SHIFT = 3
"""Fractional bits of the coordinates that OpenCV draws with."""


def jittered_colour(rng: np.random.Generator, text: str, spread: float = 10) -> Colour:
    """Returns a colour given as #rrggbb, varied as print and age vary it."""
    values = np.array([int(text[at : at + 2], 16) for at in (5, 3, 1)])
    changed = values + rng.normal(0, spread) + rng.normal(0, spread / 2, 3)
    blue, green, red = np.clip(changed, 0, 255).astype(int).tolist()
    return blue, green, red


def any_colour(rng: np.random.Generator) -> Colour:
    """Returns a uniformly random colour."""
    blue, green, red = rng.integers(0, 256, 3).tolist()
    return blue, green, red


def fill_polygon(image: Image, points: NDArray[np.float64], colour: Colour) -> None:
    """Fills a polygon with corners, shape (N, 2), in pixels."""
    fixed = np.round(points * (1 << SHIFT)).astype(np.int32)
    cv2.fillPoly(image, [fixed], colour, cv2.LINE_AA, SHIFT)


def fill_circle(image: Image, centre: tuple[float, float], radius: float, colour: Colour) -> None:
    """Fills a circle; centre and radius are in pixels."""
    x, y, r = (max(1, round(value * (1 << SHIFT))) for value in (*centre, radius))
    cv2.circle(image, (x, y), r, colour, -1, cv2.LINE_AA, SHIFT)


def fill_star(image: Image, centre: tuple[float, float], radius: float, colour: Colour) -> None:
    """Fills a star with five points."""
    turns = np.arange(10) * np.pi / 5
    radii = np.where(np.arange(10) % 2, 0.42, 1.0) * radius
    corners = np.stack([radii * np.sin(turns), -radii * np.cos(turns)], axis=1)
    fill_polygon(image, corners + np.array(centre), colour)


def fill_blob(
    rng: np.random.Generator, image: Image, box: Box, colour: Colour, *, corners: int = 11
) -> None:
    """Fills an irregular shape, such as the outline of a state or a fruit."""
    x1, y1, x2, y2 = box
    turns = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = rng.uniform(0.5, 1.0, corners)
    unit = np.stack([np.cos(turns) * radii * (x2 - x1), np.sin(turns) * radii * (y2 - y1)], axis=1)
    fill_polygon(image, unit / 2 + np.array([(x1 + x2) / 2, (y1 + y2) / 2]), colour)


def draw_symbol(
    rng: np.random.Generator, image: Image, kind: str, box: Box, *, ink: Colour
) -> None:
    """Draws the symbol of a gap in the middle of its box; nothing if the gap is a space."""
    x1, y1, x2, y2 = box
    middle, height = ((x1 + x2) / 2, (y1 + y2) / 2), y2 - y1
    if kind in STROKES:
        half = np.array([rng.uniform(*share) for share in STROKES[kind]]) * height
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
        fill_polygon(image, corners * half + np.array(middle), ink)
    elif kind == "dot":
        fill_circle(image, middle, rng.uniform(0.05, 0.09) * height, ink)
    elif kind == "star":
        fill_star(image, middle, rng.uniform(0.13, 0.24) * height, ink)
    elif kind == "ring":
        x, y = (round(value) for value in middle)
        thick = max(1, round(0.05 * height))
        cv2.circle(image, (x, y), round(0.15 * height), ink, thick, cv2.LINE_AA)
    elif kind == "seal":
        _draw_seals(rng, image, box)
    elif kind == "crest":
        _draw_crest(rng, image, middle, rng.uniform(0.2, 0.3) * height)
    elif kind == "shape":
        colour = ink if rng.random() < 0.6 else any_colour(rng)
        half_w, half_h = (x2 - x1) * 0.42, height * rng.uniform(0.2, 0.4)
        around = (middle[0] - half_w, middle[1] - half_h, middle[0] + half_w, middle[1] + half_h)
        fill_blob(rng, image, around, colour)
    elif kind == "emblem":
        draw_emblem(rng, image, box)


def draw_emblem(rng: np.random.Generator, image: Image, box: Box) -> None:
    """Draws a random emblem of a few coloured blobs and circles."""
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    for _ in range(int(rng.integers(2, 6))):
        dx, dy = rng.uniform(0, 0.35, 2)
        right = x2 - rng.uniform(0, 0.35) * width
        part = (x1 + dx * width, y1 + dy * height, right, y2 - dy * height)
        if rng.random() < 0.5:
            fill_blob(rng, image, part, any_colour(rng), corners=int(rng.integers(4, 12)))
        else:
            middle = ((part[0] + part[2]) / 2, (part[1] + part[3]) / 2)
            fill_circle(image, middle, min(width, height) * rng.uniform(0.1, 0.4), any_colour(rng))


def _draw_seals(rng: np.random.Generator, image: Image, box: Box) -> None:
    """Draws two round seals above each other, as on German plates, or a single one."""
    x1, y1, x2, y2 = box
    radius = min((x2 - x1) * 0.46, (y2 - y1) * rng.uniform(0.2, 0.27))
    places = [0.27, 0.74] if rng.random() < 0.75 else [rng.uniform(0.4, 0.6)]
    for place in places:
        centre = ((x1 + x2) / 2, y1 + place * (y2 - y1))
        outer = any_colour(rng) if rng.random() < 0.5 else (190, 195, 195)
        fill_circle(image, centre, radius, outer)
        fill_circle(image, centre, radius * rng.uniform(0.5, 0.85), any_colour(rng))
        fill_circle(image, centre, radius * rng.uniform(0.1, 0.4), any_colour(rng))


def _draw_crest(
    rng: np.random.Generator, image: Image, middle: tuple[float, float], half: float
) -> None:
    """Draws a chequered shield, as on Croatian plates."""
    outline = np.array([(-0.8, -1), (0.8, -1), (0.8, 0.3), (0, 1), (-0.8, 0.3)]) * half
    red = jittered_colour(rng, "#c02030")
    fill_polygon(image, outline + np.array(middle), red)
    square = np.array([(0, 0), (0.4, 0), (0.4, 0.5), (0, 0.5)]) * half
    for column, row in ((0, 1), (1, 0), (1, 2), (2, 1), (3, 0), (3, 2)):
        at = np.array([-0.8 + 0.4 * column, -1 + 0.5 * row]) * half + np.array(middle)
        fill_polygon(image, at + square, (240, 240, 240))


def draw_sticker(rng: np.random.Generator, image: Image, box: Box) -> None:
    """Draws a coloured sticker with a year or a month."""
    x1, y1, x2, y2 = (round(value) for value in box)
    cv2.rectangle(image, (x1, y1), (x2, y2), any_colour(rng), -1)
    height = y2 - y1
    if height > 5:
        text = str(rng.choice(["12", "09", "MAY", "OCT", "15", "2011", "JAN", "7"]))
        scale = height / 30 * rng.uniform(0.6, 1.0)
        at, font = (x1 + 1, y2 - max(1, height // 4)), cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(image, text, at, font, scale, any_colour(rng), 1, cv2.LINE_AA)


def draw_bolt(
    rng: np.random.Generator, image: Image, centre: tuple[float, float], radius: float
) -> None:
    """Draws a screw with highlight and shadow, or its coloured cap."""
    grey = int(rng.integers(20, 230))
    colour = (grey, grey, grey) if rng.random() < 0.8 else any_colour(rng)
    x, y = centre
    fill_circle(image, (x + 0.2 * radius, y + 0.3 * radius), radius * 1.1, (60, 60, 60))
    fill_circle(image, centre, radius, colour)
    fill_circle(image, (x - 0.25 * radius, y - 0.3 * radius), radius * 0.35, (235, 235, 235))
