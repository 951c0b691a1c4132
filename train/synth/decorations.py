"""What a plate shows beside its text: paper, pictures, band, captions, frame, stickers, bolts."""

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Image
from train.synth.fonts import families, line_mask
from train.synth.layouts import Band, Caption, PlateLayout
from train.synth.symbols import (
    Box,
    Colour,
    blob,
    bolt,
    disc,
    emblem,
    jittered_colour,
    polygon,
    star,
    sticker,
)

LETTERS = "AEIOURSTNLMCDHBGPKZ"


def draw_paper(rng: np.random.Generator, layout: PlateLayout, size: tuple[int, int]) -> Image:
    """The empty sheet, with its pictures where the layout has some; size is width, height."""
    width, height = size
    paper = jittered_colour(rng, str(rng.choice(layout.paper)), 7)
    sheet = np.empty((height, width, 3), np.uint8)
    sheet[:] = paper
    if layout.graphics and rng.random() < layout.graphic:
        for kind in rng.choice(layout.graphics, int(rng.integers(1, 3))):
            _graphic(rng, sheet, str(kind), jittered_colour(rng, str(rng.choice(layout.tints)), 25))
        strength = rng.uniform(0.2, 0.9)
        plain = np.full_like(sheet, paper)
        sheet = np.asarray(cv2.addWeighted(sheet, strength, plain, 1 - strength, 0), np.uint8)
    return sheet


def _graphic(rng: np.random.Generator, sheet: Image, kind: str, colour: Colour) -> None:
    height, width = sheet.shape[:2]
    if kind == "fade":
        _fade(rng, sheet, colour)
    elif kind == "hills":
        _hills(rng, sheet, colour)
    elif kind == "stripes":
        y = round(rng.uniform(0, 0.9) * height)
        cv2.rectangle(
            sheet, (0, y), (width, y + round(rng.uniform(0.03, 0.2) * height)), colour, -1
        )
    elif kind == "picture":
        x, half = rng.uniform(0.05, 0.95) * width, rng.uniform(0.2, 0.5) * height
        emblem(rng, sheet, (x - half, height / 2 - half, x + half, height / 2 + half))
    elif kind == "pattern":
        step = max(3, round(rng.uniform(0.04, 0.12) * height))
        sheet[::step] = colour
        sheet[:, :: 2 * step] = colour
    elif kind == "rays":
        centre = np.array([rng.uniform(0.1, 0.9) * width, rng.uniform(0.3, 1.0) * height])
        for turn in np.arange(0, 2 * np.pi, 0.5):
            far = np.array([[np.cos(a), np.sin(a)] for a in (turn, turn + 0.22)]) * width
            polygon(sheet, np.vstack([centre, centre + far]), colour)
    else:
        for _ in range(int(rng.integers(2, 7))):
            x, y, half = (
                rng.uniform(0, width),
                rng.uniform(0, height),
                rng.uniform(0.05, 0.3) * height,
            )
            blob(rng, sheet, (x - half, y - half, x + half, y + half), colour)


def _fade(rng: np.random.Generator, sheet: Image, colour: Colour) -> None:
    """A tint that fades from an edge, as on many plates of US states."""
    height = sheet.shape[0]
    ramp = np.clip(1 - np.linspace(0, rng.uniform(1.2, 4), height), 0, 1)[:, None, None]
    if rng.random() < 0.4:
        ramp = np.maximum(ramp, ramp[::-1])
    elif rng.random() < 0.5:
        ramp = ramp[::-1]
    sheet[:] = (sheet * (1 - ramp) + np.array(colour) * ramp).astype(np.uint8)


def _hills(rng: np.random.Generator, sheet: Image, colour: Colour) -> None:
    height, width = sheet.shape[:2]
    xs = np.linspace(0, width, 9)
    ys = height * rng.uniform(0.35, 0.95, 9)
    polygon(sheet, np.vstack([np.stack([xs, ys], axis=1), [(width, height), (0, height)]]), colour)


def draw_band(rng: np.random.Generator, sheet: Image, band: Band) -> Box:
    """The band where the plate has one.

    Returns:
        What it leaves of the sheet, xyxy in pixels.
    """
    height, width = sheet.shape[:2]
    if rng.random() >= band.share:
        return 0, 0, width, height
    colour = jittered_colour(rng, str(rng.choice(band.colour)), 12)
    ink = jittered_colour(rng, band.ink)
    if band.side == "top":
        depth = band.width * height
        cv2.rectangle(sheet, (0, 0), (width, round(depth)), colour, -1)
        _band_words(
            rng, sheet, band, (0.2 * width, 0.15 * depth, 0.8 * width, 0.85 * depth), ink=ink
        )
        return 0, depth, width, height
    depth = band.width * width
    left = depth if band.side in ("left", "both") else 0.0
    right = width - depth if band.side in ("right", "both") else float(width)
    for x1, x2 in [(0.0, left)] * (left > 0) + [(right, float(width))] * (right < width):
        cv2.rectangle(sheet, (round(x1), 0), (round(x2), height), colour, -1)
        _band_words(
            rng,
            sheet,
            band,
            (x1 + 0.15 * depth, 0.6 * height, x2 - 0.15 * depth, 0.92 * height),
            ink=ink,
        )
        if rng.random() < band.stars:
            _ring_of_stars(rng, sheet, ((x1 + x2) / 2, 0.3 * height), 0.34 * depth)
    return left, 0, right, height


def _ring_of_stars(
    rng: np.random.Generator, sheet: Image, centre: tuple[float, float], radius: float
) -> None:
    yellow = jittered_colour(rng, "#f0d030", 15)
    for turn in np.arange(12) * np.pi / 6:
        at = (centre[0] + radius * np.cos(turn), centre[1] + radius * np.sin(turn))
        if radius > 8:
            star(sheet, at, radius * 0.22, yellow)
        else:
            disc(sheet, at, radius * 0.16, yellow)


def _band_words(
    rng: np.random.Generator, sheet: Image, band: Band, box: Box, *, ink: Colour
) -> None:
    if band.codes:
        write(sheet, words(rng, band.codes), box, ink=ink, font=random_font(rng, "sans"))


def draw_caption(
    rng: np.random.Generator, sheet: Image, caption: Caption, area: Box, *, ink: Colour
) -> None:
    """Words at an edge of the area."""
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
    write(sheet, words(rng, caption.words), box, ink=ink, font=random_font(rng, caption.family))


def words(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    """One of them; * is replaced by a few letters."""
    text = choices[rng.integers(len(choices))]
    while "*" in text:
        some = "".join(rng.choice(list(LETTERS), int(rng.integers(3, 9))))
        text = text.replace("*", some if rng.random() < 0.6 else some.capitalize(), 1)
    return text


def random_font(rng: np.random.Generator, family: str) -> str:
    """A font file of the family."""
    files = families()[family].files
    return files[rng.integers(len(files))]


def write(sheet: Image, text: str, box: Box, *, ink: Colour, font: str) -> None:
    """Small words in the middle of a box, as large as they fit."""
    x1, y1, x2, y2 = box
    if y2 - y1 < 3 or x2 - x1 < 3:
        return
    mask = line_mask(font, text, int(min(48, max(8, round(y2 - y1)))))
    scale = min((x2 - x1) / mask.shape[1], (y2 - y1) / mask.shape[0])
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    small = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    at = (round((x1 + x2 - size[0]) / 2), round((y1 + y2 - size[1]) / 2))
    stamp(sheet, np.asarray(small, np.uint8), at, ink)


def stamp(sheet: Image, mask: NDArray[np.uint8], at: tuple[int, int], ink: Colour) -> None:
    """Lays a colour on the sheet by an opacity, its corner at x, y; what hangs over is cut off."""
    x, y = at
    mask = mask[max(0, -y) : sheet.shape[0] - y, max(0, -x) : sheet.shape[1] - x]
    y, x = max(0, y), max(0, x)
    if not mask.size:
        return
    part = sheet[y : y + mask.shape[0], x : x + mask.shape[1]]
    opacity = mask[:, :, None].astype(np.float32) / 255
    part[:] = (part + (np.array(ink, np.float32) - part) * opacity).astype(np.uint8)


def draw_fittings(rng: np.random.Generator, sheet: Image, layout: PlateLayout, ink: Colour) -> None:
    """Frame, stickers and bolts."""
    height, width = sheet.shape[:2]
    if rng.random() < layout.frame:
        thick = max(1, round(rng.uniform(0.015, 0.045) * height))
        inset = round(rng.uniform(0, 0.04) * height)
        corners = (inset, inset), (width - 1 - inset, height - 1 - inset)
        cv2.rectangle(sheet, *corners, ink, thick)
    if rng.random() < layout.stickers:
        for _ in range(int(rng.integers(1, 3))):
            side = rng.uniform(0.1, 0.2) * height
            x = rng.uniform(0.01, 0.12) * width
            x = x if rng.random() < 0.5 else width - x - 1.4 * side
            y = rng.uniform(0.02, 0.06) * height
            y = y if rng.random() < 0.7 else height - y - side
            sticker(rng, sheet, (x, y, x + 1.4 * side, y + side))
    if rng.random() < layout.bolts:
        _bolts(rng, sheet)


def _bolts(rng: np.random.Generator, sheet: Image) -> None:
    height, width = sheet.shape[:2]
    tall = width / height < 3
    x = rng.uniform(0.18, 0.3) if tall else rng.uniform(0.03, 0.3)
    ys = [rng.uniform(0.05, 0.09)] * tall + [rng.uniform(0.9, 0.95)] * tall or [
        rng.uniform(0.2, 0.8)
    ]
    for y in ys:
        for side in (x, 1 - x):
            if rng.random() < 0.85:
                bolt(rng, sheet, (side * width, y * height), rng.uniform(0.02, 0.045) * height)
