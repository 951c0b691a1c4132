"""A flat plate, drawn from its layout, and where its characters stand."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Image
from train.synth.decorations import draw_band, draw_caption, draw_fittings, draw_paper, stamp
from train.synth.fonts import CHINESE, FontFace, line_mask
from train.synth.layouts import ROW, PlateLayout, layouts
from train.synth.plate_texts import match_text, random_rows, rows_of
from train.synth.stroke_fonts import CAP
from train.synth.symbols import Colour, draw_mark, jittered_colour
from train.synth.typesetting import PlacedSymbol, Typesetter, typeset
from train.train_error import TrainError

TWO_LINES = 3.5
"""Plates of two lines are harder to read: so many times as many are drawn."""


@dataclass(frozen=True)
class FlatPlate:
    """A plate seen from the front.

    Attributes:
        boxes: Of the characters, xyxy in pixels of the image, shape (N, 4).
        rows: The line that each character is in.
    """

    image: Image
    text: str
    boxes: NDArray[np.float32]
    rows: tuple[int, ...]
    region: str


def random_layout(rng: np.random.Generator, region: str | None = None) -> tuple[str, PlateLayout]:
    """A country and a kind of its plates, as often as they are wanted."""
    files = [each for each in layouts() if region is None or each.region == region]
    weights = np.array([each.weight for each in files])
    chosen = files[rng.choice(len(files), p=weights / weights.sum())]
    weights = np.array([_wanted(each) for each in chosen.plates])
    return chosen.region, chosen.plates[rng.choice(len(weights), p=weights / weights.sum())]


def _wanted(layout: PlateLayout) -> float:
    two_lines = any(ROW in pattern.split() for pattern in layout.patterns)
    return layout.weight * (TWO_LINES if two_lines else 1.0)


def layout_of(rng: np.random.Generator, region: str, text: str) -> PlateLayout:
    """Returns a random layout of a country that has a pattern for the text.

    Raises:
        TrainError: There is none.
    """
    every = [plate for each in layouts() if each.region == region for plate in each.plates]
    fitting = [layout for layout in every if match_text(layout, text)[0]]
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
    """Draws a plate of the layout.

    Args:
        rng: Source of randomness.
        layout: How the plate looks.
        region: Country of the layout.
        cap: Height of the tallest characters, pixels.
        text: Text of the plate, which a pattern of the layout fits; None: a random text.
    """
    scale = cap / max(layout.cap)
    stretch = rng.uniform(0.96, 1.04, 2)
    size = (
        max(16, round(layout.size[0] * scale * stretch[0])),
        max(8, round(layout.size[1] * scale * stretch[1])),
    )
    sheet = draw_paper(rng, layout, size)
    ink = jittered_colour(rng, str(rng.choice(layout.ink)), 12)
    x1, y1, x2, y2 = draw_band(rng, sheet, layout.band) if layout.band else (0, 0, *size)
    for caption in layout.captions:
        draw_caption(rng, sheet, caption, (x1, y1, x2, y2), ink=ink)
    draw_fittings(rng, sheet, layout, ink)
    margin = rng.uniform(0.012, 0.03) * size[0]
    typesetter = Typesetter(rng, layout)
    area = (x1 + margin, y1, x2 - margin, y2)
    rows = rows_of(rng, layout, text) if text else random_rows(rng, layout)
    items = typeset(rng, rows, layout, typesetter=typesetter, area=area, scale=scale)
    _draw_items(rng, sheet, items, face=typesetter.face, ink=ink, emboss=layout.emboss)
    characters = [item for item in items if item.is_text]
    boxes = [(item.x, item.y, item.x + item.width, item.y + item.height) for item in characters]
    return FlatPlate(
        sheet,
        "".join(item.kind for item in characters),
        np.array(boxes, np.float32).reshape(-1, 4),
        tuple(item.row for item in characters),
        region,
    )


def _draw_items(
    rng: np.random.Generator,
    sheet: Image,
    items: list[PlacedSymbol],
    *,
    face: FontFace,
    ink: Colour,
    emboss: float,
) -> None:
    opacity = np.zeros(sheet.shape[:2], np.uint8)
    for item in items:
        if len(item.kind) == 1:
            _draw_glyph(opacity, item, face)
        else:
            box = (item.x, item.y, item.x + item.width, item.y + item.height)
            draw_mark(rng, sheet, item.kind, box, ink=ink)
    opacity = _weighted(rng, opacity)
    if rng.random() < emboss:
        _emboss(rng, sheet, opacity)
    stamp(sheet, _worn(rng, opacity), (0, 0), ink)


def _draw_glyph(opacity: NDArray[np.uint8], item: PlacedSymbol, face: FontFace) -> None:
    """Joins the character's mask, its tail included, to what is there."""
    mask = line_mask(CHINESE, item.kind, CAP) if item.lead else face.glyph(item.kind)
    tail = 1.0 if item.lead else mask.shape[0] / CAP
    size = (max(1, round(item.width)), max(1, round(item.height * tail)))
    small = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    x, y = round(item.x), round(item.y)
    small = small[max(0, -y) : opacity.shape[0] - y, max(0, -x) : opacity.shape[1] - x]
    y, x = max(0, y), max(0, x)
    part = opacity[y : y + small.shape[0], x : x + small.shape[1]]
    np.maximum(part, small, out=part)


def _weighted(rng: np.random.Generator, opacity: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """StrokeChoice a little heavier or lighter, as ink runs and paint wears."""
    chance = rng.random()
    if chance > 0.3 or opacity.shape[0] < 40:
        return opacity
    kernel = np.ones((2, 2) if opacity.shape[0] < 90 else (3, 3), np.uint8)
    changed = cv2.dilate(opacity, kernel) if chance < 0.18 else cv2.erode(opacity, kernel)
    return np.asarray(changed, np.uint8)


def _emboss(rng: np.random.Generator, sheet: Image, opacity: NDArray[np.uint8]) -> None:
    """Light and shadow at the edges of raised characters."""
    step = max(1, round(sheet.shape[0] * rng.uniform(0.005, 0.014)))
    raised = cv2.dilate(opacity, np.ones((2 * step + 1, 2 * step + 1), np.uint8)).astype(np.int16)
    slope = raised - np.roll(raised, (step, round(rng.normal(0, step))), (0, 1))
    change = (slope * rng.uniform(0.05, 0.3)).astype(np.int16)[:, :, None]
    sheet[:] = np.clip(sheet + change, 0, 255).astype(np.uint8)


def _worn(rng: np.random.Generator, opacity: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Ink that has come off in places, or is thin all over."""
    if rng.random() < 0.75:
        return opacity
    coarse = rng.uniform(0.5, 1.9, (int(rng.integers(2, 9)), int(rng.integers(3, 20))))
    patches = cv2.resize(
        coarse.astype(np.float32), opacity.shape[::-1], interpolation=cv2.INTER_CUBIC
    )
    return np.asarray(opacity * np.clip(patches, rng.uniform(0.35, 1), 1), np.uint8)
