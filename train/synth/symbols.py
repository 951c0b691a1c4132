"""Small drawings on a plate: separators, seals, crests, stickers, bolts, stars."""

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Image

Box = tuple[float, float, float, float]
Colour = tuple[int, int, int]
SHIFT = 3
"""Fractional bits of cv2's coordinates."""


def jittered_colour(rng: np.random.Generator, text: str, spread: float = 10) -> Colour:
    """The colour #rrggbb as BGR, as print, age and lot change it."""
    values = np.array([int(text[at : at + 2], 16) for at in (5, 3, 1)])
    changed = values + rng.normal(0, spread) + rng.normal(0, spread / 2, 3)
    blue, green, red = np.clip(changed, 0, 255).astype(int).tolist()
    return blue, green, red


def any_colour(rng: np.random.Generator) -> Colour:
    """Any colour at all."""
    blue, green, red = rng.integers(0, 256, 3).tolist()
    return blue, green, red


def polygon(canvas: Image, points: NDArray[np.float64], colour: Colour) -> None:
    """Fills a polygon of points (N, 2) in pixels."""
    fixed = np.round(points * (1 << SHIFT)).astype(np.int32)
    cv2.fillPoly(canvas, [fixed], colour, cv2.LINE_AA, SHIFT)


def disc(canvas: Image, centre: tuple[float, float], radius: float, colour: Colour) -> None:
    """Fills a circle, given in pixels."""
    x, y, r = (max(1, round(value * (1 << SHIFT))) for value in (*centre, radius))
    cv2.circle(canvas, (x, y), r, colour, -1, cv2.LINE_AA, SHIFT)


@functools.cache
def _star() -> NDArray[np.float64]:
    turns = np.arange(10) * np.pi / 5
    radii = np.where(np.arange(10) % 2, 0.42, 1.0)
    return np.stack([radii * np.sin(turns), -radii * np.cos(turns)], axis=1)


def star(canvas: Image, centre: tuple[float, float], radius: float, colour: Colour) -> None:
    """A star of five points."""
    polygon(canvas, _star() * radius + np.array(centre), colour)


def blob(
    rng: np.random.Generator, canvas: Image, box: Box, colour: Colour, *, corners: int = 11
) -> None:
    """An outline like that of a state or a fruit."""
    x1, y1, x2, y2 = box
    turns = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = rng.uniform(0.5, 1.0, corners)
    unit = np.stack([np.cos(turns) * radii * (x2 - x1), np.sin(turns) * radii * (y2 - y1)], axis=1)
    polygon(canvas, unit / 2 + np.array([(x1 + x2) / 2, (y1 + y2) / 2]), colour)


def draw_mark(rng: np.random.Generator, canvas: Image, kind: str, box: Box, *, ink: Colour) -> None:
    """A gap's mark in the middle of its room; those that are spaces draw nothing."""
    x1, y1, x2, y2 = box
    middle, height = ((x1 + x2) / 2, (y1 + y2) / 2), y2 - y1
    if kind == "dash":
        half = np.array([rng.uniform(0.1, 0.2), rng.uniform(0.035, 0.07)]) * height
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
        polygon(canvas, corners * half + np.array(middle), ink)
    elif kind == "dot":
        disc(canvas, middle, rng.uniform(0.05, 0.09) * height, ink)
    elif kind == "star":
        star(canvas, middle, rng.uniform(0.13, 0.24) * height, ink)
    elif kind == "ring":
        x, y = (round(value) for value in middle)
        thick = max(1, round(0.05 * height))
        cv2.circle(canvas, (x, y), round(0.15 * height), ink, thick, cv2.LINE_AA)
    elif kind == "seal":
        _seals(rng, canvas, box)
    elif kind == "crest":
        _crest(rng, canvas, middle, rng.uniform(0.2, 0.3) * height)
    elif kind == "shape":
        colour = ink if rng.random() < 0.6 else any_colour(rng)
        half_w, half_h = (x2 - x1) * 0.42, height * rng.uniform(0.2, 0.4)
        around = (middle[0] - half_w, middle[1] - half_h, middle[0] + half_w, middle[1] + half_h)
        blob(rng, canvas, around, colour)
    elif kind == "emblem":
        emblem(rng, canvas, box)


def emblem(rng: np.random.Generator, canvas: Image, box: Box) -> None:
    """Some coloured picture that means nothing to us."""
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    for _ in range(int(rng.integers(2, 6))):
        dx, dy = rng.uniform(0, 0.35, 2)
        part = (
            x1 + dx * width,
            y1 + dy * height,
            x2 - rng.uniform(0, 0.35) * width,
            y2 - dy * height,
        )
        if rng.random() < 0.5:
            blob(rng, canvas, part, any_colour(rng), corners=int(rng.integers(4, 12)))
        else:
            middle = ((part[0] + part[2]) / 2, (part[1] + part[3]) / 2)
            disc(canvas, middle, min(width, height) * rng.uniform(0.1, 0.4), any_colour(rng))


def _seals(rng: np.random.Generator, canvas: Image, box: Box) -> None:
    """The two round stickers of German plates and their like: one above the other, or one."""
    x1, y1, x2, y2 = box
    radius = min((x2 - x1) * 0.46, (y2 - y1) * rng.uniform(0.2, 0.27))
    places = [0.27, 0.74] if rng.random() < 0.75 else [rng.uniform(0.4, 0.6)]
    for place in places:
        centre = ((x1 + x2) / 2, y1 + place * (y2 - y1))
        disc(canvas, centre, radius, any_colour(rng) if rng.random() < 0.5 else (190, 195, 195))
        disc(canvas, centre, radius * rng.uniform(0.5, 0.85), any_colour(rng))
        disc(canvas, centre, radius * rng.uniform(0.1, 0.4), any_colour(rng))


def _crest(
    rng: np.random.Generator, canvas: Image, middle: tuple[float, float], half: float
) -> None:
    """A shield, chequered as the Croatian or plain with a charge."""
    outline = np.array([(-0.8, -1), (0.8, -1), (0.8, 0.3), (0, 1), (-0.8, 0.3)]) * half
    red = jittered_colour(rng, "#c02030")
    polygon(canvas, outline + np.array(middle), red)
    for column in range(4):
        for row in range(3):
            if (column + row) % 2:
                at = np.array([-0.8 + 0.4 * column, -1 + 0.5 * row]) * half + np.array(middle)
                square = np.array([(0, 0), (0.4, 0), (0.4, 0.5), (0, 0.5)]) * half
                polygon(canvas, at + square, (240, 240, 240))


def sticker(rng: np.random.Generator, canvas: Image, box: Box) -> None:
    """A year or a month on a small coloured square."""
    x1, y1, x2, y2 = (round(value) for value in box)
    cv2.rectangle(canvas, (x1, y1), (x2, y2), any_colour(rng), -1)
    height = y2 - y1
    if height > 5:
        text = str(rng.choice(["12", "09", "MAY", "OCT", "15", "2011", "JAN", "7"]))
        scale = height / 30 * rng.uniform(0.6, 1.0)
        at = (x1 + 1, y2 - max(1, height // 4))
        cv2.putText(
            canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, any_colour(rng), 1, cv2.LINE_AA
        )


def bolt(
    rng: np.random.Generator, canvas: Image, centre: tuple[float, float], radius: float
) -> None:
    """A screw with its light and its shadow, or a coloured cap."""
    grey = int(rng.integers(20, 230))
    colour = (grey, grey, grey) if rng.random() < 0.8 else any_colour(rng)
    x, y = centre
    disc(canvas, (x + 0.2 * radius, y + 0.3 * radius), radius * 1.1, (60, 60, 60))
    disc(canvas, centre, radius, colour)
    disc(canvas, (x - 0.25 * radius, y - 0.3 * radius), radius * 0.35, (235, 235, 235))
