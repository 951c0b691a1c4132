"""Draws what a plate shows besides its text: graphics, band, captions, frame, stickers, bolts."""

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Box, Image
from train.synth.fonts import families, line_mask
from train.synth.layouts import Band, Caption, PlateLayout
from train.synth.symbols import (
    Colour,
    any_colour,
    draw_bolt,
    draw_emblem,
    draw_sticker,
    fill_blob,
    fill_circle,
    fill_polygon,
    fill_star,
    jittered_colour,
)

LETTERS = "AEIOURSTNLMCDHBGPKZ"
"""Letters of invented words."""


def draw_background(rng: np.random.Generator, layout: PlateLayout, size: tuple[int, int]) -> Image:
    """Returns an empty plate with its graphics; size is (width, height), pixels."""
    width, height = size
    colour = jittered_colour(rng, str(rng.choice(layout.background)), 7)
    image = np.empty((height, width, 3), np.uint8)
    image[:] = colour
    if layout.graphics and rng.random() < layout.graphics_share:
        for kind in rng.choice(layout.graphics, int(rng.integers(1, 3))):
            tint = jittered_colour(rng, str(rng.choice(layout.tints)), 25)
            _draw_graphic(rng, image, str(kind), tint)
        strength = rng.uniform(0.2, 0.9)
        plain = np.full_like(image, colour)
        image = np.asarray(cv2.addWeighted(image, strength, plain, 1 - strength, 0), np.uint8)
    return image


def _draw_graphic(rng: np.random.Generator, image: Image, kind: str, colour: Colour) -> None:
    height, width = image.shape[:2]
    if kind == "fade":
        _draw_fade(rng, image, colour)
    elif kind == "hills":
        ridge = np.stack([np.linspace(0, width, 9), height * rng.uniform(0.35, 0.95, 9)], axis=1)
        fill_polygon(image, np.vstack([ridge, [(width, height), (0, height)]]), colour)
    elif kind == "stripes":
        y = round(rng.uniform(0, 0.9) * height)
        end = y + round(rng.uniform(0.03, 0.2) * height)
        cv2.rectangle(image, (0, y), (width, end), colour, -1)
    elif kind == "picture":
        x, half = rng.uniform(0.05, 0.95) * width, rng.uniform(0.2, 0.5) * height
        draw_emblem(rng, image, (x - half, height / 2 - half, x + half, height / 2 + half))
    elif kind == "pattern":
        step = max(3, round(rng.uniform(0.04, 0.12) * height))
        image[::step] = colour
        image[:, :: 2 * step] = colour
    elif kind == "rays":
        _draw_rays(rng, image, colour)
    else:
        for _ in range(int(rng.integers(2, 7))):
            x, y = rng.uniform(0, width), rng.uniform(0, height)
            half = rng.uniform(0.05, 0.3) * height
            fill_blob(rng, image, (x - half, y - half, x + half, y + half), colour)


def _draw_fade(rng: np.random.Generator, image: Image, colour: Colour) -> None:
    """Draws a colour that fades from an edge, as on plates of many US states."""
    height = image.shape[0]
    ramp = np.clip(1 - np.linspace(0, rng.uniform(1.2, 4), height), 0, 1)[:, None, None]
    if rng.random() < 0.4:
        ramp = np.maximum(ramp, ramp[::-1])
    elif rng.random() < 0.5:
        ramp = ramp[::-1]
    image[:] = (image * (1 - ramp) + np.array(colour) * ramp).astype(np.uint8)


def _draw_rays(rng: np.random.Generator, image: Image, colour: Colour) -> None:
    height, width = image.shape[:2]
    centre = np.array([rng.uniform(0.1, 0.9) * width, rng.uniform(0.3, 1.0) * height])
    for turn in np.arange(0, 2 * np.pi, 0.5):
        far = np.array([[np.cos(a), np.sin(a)] for a in (turn, turn + 0.22)]) * width
        fill_polygon(image, np.vstack([centre, centre + far]), colour)


def draw_band(rng: np.random.Generator, image: Image, band: Band) -> Box:
    """Draws the band, if this plate has one. Returns the area that it leaves free, xyxy."""
    height, width = image.shape[:2]
    if rng.random() >= band.share:
        return 0, 0, width, height
    colour = jittered_colour(rng, str(rng.choice(band.colour)), 12)
    ink = jittered_colour(rng, band.ink)

    def draw_code(box: Box) -> None:
        if band.codes:
            text = random_caption(rng, band.codes)
            draw_text(image, text, box, ink=ink, font=random_font(rng, "sans"))

    if band.side == "top":
        depth = band.width * height
        cv2.rectangle(image, (0, 0), (width, round(depth)), colour, -1)
        draw_code((0.2 * width, 0.15 * depth, 0.8 * width, 0.85 * depth))
        return 0, depth, width, height
    depth = band.width * width
    left = depth if band.side in ("left", "both") else 0.0
    right = width - depth if band.side in ("right", "both") else float(width)
    for x1, x2 in [(0.0, left)] * (left > 0) + [(right, float(width))] * (right < width):
        cv2.rectangle(image, (round(x1), 0), (round(x2), height), colour, -1)
        draw_code((x1 + 0.15 * depth, 0.6 * height, x2 - 0.15 * depth, 0.92 * height))
        if rng.random() < band.stars:
            _draw_ring_of_stars(rng, image, ((x1 + x2) / 2, 0.3 * height), 0.34 * depth)
    return left, 0, right, height


def _draw_ring_of_stars(
    rng: np.random.Generator, image: Image, centre: tuple[float, float], radius: float
) -> None:
    yellow = jittered_colour(rng, "#f0d030", 15)
    for turn in np.arange(12) * np.pi / 6:
        at = (centre[0] + radius * np.cos(turn), centre[1] + radius * np.sin(turn))
        if radius > 8:
            fill_star(image, at, radius * 0.22, yellow)
        else:
            fill_circle(image, at, radius * 0.16, yellow)


def draw_caption(
    rng: np.random.Generator, image: Image, caption: Caption, area: Box, *, ink: Colour
) -> None:
    """Draws a caption at an edge of the area, if this plate has one."""
    if rng.random() >= caption.share:
        return
    x1, y1, x2, y2 = area
    tall = rng.uniform(*caption.height) * (y2 - y1)
    edge = rng.uniform(0.02, 0.05) * (y2 - y1)
    if caption.ink:
        ink = jittered_colour(rng, str(rng.choice(caption.ink)), 20)
    inset = rng.uniform(0.05, 0.3) * (x2 - x1)
    box = {
        "top": (x1 + inset, y1 + edge, x2 - inset, y1 + edge + tall),
        "bottom": (x1 + inset, y2 - edge - tall, x2 - inset, y2 - edge),
        "left": (x1 + edge, y1 + edge, x1 + edge + 2 * tall, y1 + edge + tall),
        "right": (x2 - edge - 2 * tall, y1 + edge, x2 - edge, y1 + edge + tall),
    }[caption.place]
    text = random_caption(rng, caption.texts)
    draw_text(image, text, box, ink=ink, font=random_font(rng, caption.family))


def random_caption(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    """Returns one of the choices, with each * replaced by an invented word."""
    text = choices[rng.integers(len(choices))]
    while "*" in text:
        word = "".join(rng.choice(list(LETTERS), int(rng.integers(3, 9))))
        text = text.replace("*", word if rng.random() < 0.6 else word.capitalize(), 1)
    return text


def random_font(rng: np.random.Generator, family: str) -> str:
    """Returns a random font file of the family."""
    files = families()[family].files
    return files[rng.integers(len(files))]


def draw_text(image: Image, text: str, box: Box, *, ink: Colour, font: str) -> None:
    """Draws small text in the middle of a box, as large as it fits."""
    x1, y1, x2, y2 = box
    if y2 - y1 < 3 or x2 - x1 < 3:
        return
    mask = line_mask(font, text, int(min(48, max(8, round(y2 - y1)))))
    scale = min((x2 - x1) / mask.shape[1], (y2 - y1) / mask.shape[0])
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    small = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    at = (round((x1 + x2 - size[0]) / 2), round((y1 + y2 - size[1]) / 2))
    blend_colour(image, np.asarray(small, np.uint8), at, ink)


def blend_colour(
    image: Image, opacity: NDArray[np.uint8], at: tuple[int, int], colour: Colour
) -> None:
    """Blends a colour into the image by an opacity mask (0-255), in place.

    The upper left corner of the mask is at (x, y); parts outside the image are cut off.
    """
    x, y = at
    opacity = opacity[max(0, -y) : image.shape[0] - y, max(0, -x) : image.shape[1] - x]
    y, x = max(0, y), max(0, x)
    if not opacity.size:
        return
    part = image[y : y + opacity.shape[0], x : x + opacity.shape[1]]
    share = opacity[:, :, None].astype(np.float32) / 255
    part[:] = (part + (np.array(colour, np.float32) - part) * share).astype(np.uint8)


def draw_fittings(rng: np.random.Generator, image: Image, layout: PlateLayout, ink: Colour) -> None:
    """Draws frame, seams, stickers and bolts, each on its share of the plates."""
    height, width = image.shape[:2]
    if rng.random() < layout.frame:
        thick = max(1, round(rng.uniform(0.015, 0.045) * height))
        inset = round(rng.uniform(0, 0.04) * height)
        corners = (inset, inset), (width - 1 - inset, height - 1 - inset)
        cv2.rectangle(image, *corners, ink, thick)
    if rng.random() < layout.seams:
        draw_seams(rng, image, reach=0.05)
    if rng.random() < layout.stickers:
        for _ in range(int(rng.integers(1, 3))):
            side = rng.uniform(0.1, 0.2) * height
            x = rng.uniform(0.01, 0.12) * width
            x = x if rng.random() < 0.5 else width - x - 1.4 * side
            y = rng.uniform(0.02, 0.06) * height
            y = y if rng.random() < 0.7 else height - y - side
            draw_sticker(rng, image, (x, y, x + 1.4 * side, y + side))
    if rng.random() < layout.bolts:
        _draw_bolts(rng, image)


def draw_seams(rng: np.random.Generator, image: Image, *, reach: float) -> None:
    """Draws upright strokes that are no characters: edges of frames, joints, slots.

    They are at most `reach` plate widths from an end.
    """
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        grey = int(rng.integers(0, 256))
        colour = (grey, grey, grey) if rng.random() < 0.8 else any_colour(rng)
        x = rng.uniform(0, reach) * width
        x = x if rng.random() < 0.5 else width - x
        top, bottom = rng.uniform(0, 0.45) * height, rng.uniform(0.55, 1) * height
        ends = (round(x), round(top)), (round(x + rng.normal(0, 0.02) * height), round(bottom))
        cv2.line(image, *ends, colour, max(1, round(rng.uniform(0.01, 0.09) * height)))


def _draw_bolts(rng: np.random.Generator, image: Image) -> None:
    height, width = image.shape[:2]
    tall = width / height < 3
    x = rng.uniform(0.18, 0.3) if tall else rng.uniform(0.03, 0.3)
    rows = [rng.uniform(0.05, 0.09)] * tall + [rng.uniform(0.9, 0.95)] * tall
    for y in rows or [rng.uniform(0.2, 0.8)]:
        for side in (x, 1 - x):
            if rng.random() < 0.85:
                at = (side * width, y * height)
                draw_bolt(rng, image, at, rng.uniform(0.02, 0.045) * height)
