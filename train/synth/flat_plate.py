"""Draws a flat plate from its layout, and says where its characters are."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Image
from train.synth.decorations import (
    blend_colour,
    draw_background,
    draw_band,
    draw_caption,
    draw_fittings,
)
from train.synth.fonts import CHINESE, FontFace, Mask, line_mask
from train.synth.layouts import ROW, PlateLayout, layouts
from train.synth.plate_texts import match_text, random_rows, rows_of
from train.synth.stroke_fonts import CAP
from train.synth.symbols import Colour, draw_symbol, jittered_colour
from train.synth.typesetting import PlacedSymbol, Typesetter
from train.train_error import TrainError

TWO_ROWS = 3.5
"""Factor by which plates of two rows are more frequent: they are harder to read."""


@dataclass(frozen=True)
class FlatPlate:
    """A plate seen from the front, and the box (xyxy in pixels) and the row of each character."""

    image: Image
    text: str
    boxes: NDArray[np.float32]
    rows: tuple[int, ...]
    region: str


def random_plate(rng: np.random.Generator, *, cap: float, region: str | None = None) -> FlatPlate:
    """Draws a random plate of a country, or of any, with characters `cap` pixels high."""
    code, layout = random_layout(rng, region)
    return draw_plate(rng, layout, code, cap=cap)


def random_layout(rng: np.random.Generator, region: str | None = None) -> tuple[str, PlateLayout]:
    """Returns a random country and one of its layouts, by their weights."""
    countries = [each for each in layouts() if region is None or each.region == region]
    weights = np.array([each.weight for each in countries])
    chosen = countries[rng.choice(len(countries), p=weights / weights.sum())]
    two_rows = (any(ROW in p.split() for p in each.patterns) for each in chosen.plates)
    weights = np.array([each.weight for each in chosen.plates])
    weights *= [TWO_ROWS if has_two else 1.0 for has_two in two_rows]
    return chosen.region, chosen.plates[rng.choice(len(weights), p=weights / weights.sum())]


def layout_of(rng: np.random.Generator, region: str, text: str) -> PlateLayout:
    """Returns a random layout of a country that the text fits; raises TrainError without one."""
    every = [plate for each in layouts() if each.region == region for plate in each.plates]
    fitting = [layout for layout in every if match_text(layout, text)]
    if not fitting:
        raise TrainError(f"{text}: fits no plate layout of region {region!r}")
    weights = np.array([layout.weight for layout in fitting])
    return fitting[rng.choice(len(fitting), p=weights / weights.sum())]


def draw_plate(
    rng: np.random.Generator,
    layout: PlateLayout,
    region: str,
    *,
    cap: float,
    text: str | None = None,
) -> FlatPlate:
    """Draws a plate with characters `cap` pixels high and a text that fits; None: a random one."""
    scale = cap / max(layout.cap_heights)
    stretch = rng.uniform(0.96, 1.04, 2)
    width = max(16, round(layout.size[0] * scale * stretch[0]))
    height = max(8, round(layout.size[1] * scale * stretch[1]))
    image = draw_background(rng, layout, (width, height))
    ink = jittered_colour(rng, str(rng.choice(layout.ink)), 12)
    free = draw_band(rng, image, layout.band) if layout.band else (0, 0, width, height)
    for caption in layout.captions:
        draw_caption(rng, image, caption, free, ink=ink)
    draw_fittings(rng, image, layout, ink)
    margin = rng.uniform(0.012, 0.03) * width
    area = (free[0] + margin, free[1], free[2] - margin, free[3])
    typesetter = Typesetter(rng, layout)
    rows = rows_of(rng, layout, text) if text else random_rows(rng, layout)
    placed = typesetter.typeset(rng, rows, area, scale)
    _print(rng, image, placed, typesetter=typesetter, ink=ink)
    characters = [each for each in placed if each.is_text]
    return FlatPlate(
        image,
        "".join(each.kind for each in characters),
        np.array([each.box for each in characters], np.float32).reshape(-1, 4),
        tuple(each.row for each in characters),
        region,
    )


def _print(
    rng: np.random.Generator,
    image: Image,
    placed: list[PlacedSymbol],
    *,
    typesetter: Typesetter,
    ink: Colour,
) -> None:
    """Draws the symbols of the gaps, then the characters: printed or embossed, sometimes worn."""
    opacity = np.zeros(image.shape[:2], np.uint8)
    for each in placed:
        if len(each.kind) == 1:
            _draw_glyph(opacity, each, typesetter.face)
        else:
            draw_symbol(rng, image, each.kind, each.box, ink=ink)
    opacity = _vary_weight(rng, opacity)
    if rng.random() < typesetter.layout.emboss:
        _emboss(rng, image, opacity)
    blend_colour(image, _wear_off(rng, opacity), (0, 0), ink)


def _draw_glyph(opacity: Mask, placed: PlacedSymbol, face: FontFace) -> None:
    prefix = placed.is_prefix
    mask = line_mask(CHINESE, placed.kind, CAP) if prefix else face.glyph(placed.kind)
    tail = 1.0 if prefix else mask.shape[0] / CAP
    size = (max(1, round(placed.width)), max(1, round(placed.height * tail)))
    small = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    x, y = round(placed.x), round(placed.y)
    small = small[max(0, -y) : opacity.shape[0] - y, max(0, -x) : opacity.shape[1] - x]
    y, x = max(0, y), max(0, x)
    part = opacity[y : y + small.shape[0], x : x + small.shape[1]]
    np.maximum(part, small, out=part)


def _vary_weight(rng: np.random.Generator, opacity: Mask) -> Mask:
    """Returns strokes that are a little heavier or lighter on 30 % of the large plates."""
    chance = rng.random()
    if chance > 0.3 or opacity.shape[0] < 40:
        return opacity
    kernel = np.ones((2, 2) if opacity.shape[0] < 90 else (3, 3), np.uint8)
    changed = cv2.dilate(opacity, kernel) if chance < 0.18 else cv2.erode(opacity, kernel)
    return np.asarray(changed, np.uint8)


def _emboss(rng: np.random.Generator, image: Image, opacity: Mask) -> None:
    step = max(1, round(image.shape[0] * rng.uniform(0.005, 0.014)))
    raised = cv2.dilate(opacity, np.ones((2 * step + 1, 2 * step + 1), np.uint8)).astype(np.int16)
    slope = raised - np.roll(raised, (step, round(rng.normal(0, step))), (0, 1))
    change = (slope * rng.uniform(0.05, 0.3)).astype(np.int16)[:, :, None]
    image[:] = np.clip(image + change, 0, 255).astype(np.uint8)


def _wear_off(rng: np.random.Generator, opacity: Mask) -> Mask:
    """Returns the opacity of a quarter of the plates with ink worn off in patches."""
    if rng.random() < 0.75:
        return opacity
    coarse = rng.uniform(0.5, 1.9, (int(rng.integers(2, 9)), int(rng.integers(3, 20))))
    size = opacity.shape[::-1]
    patches = cv2.resize(coarse.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(opacity * np.clip(patches, rng.uniform(0.35, 1), 1), np.uint8)
