"""Plate textures: a sheet of metal, its band or header, and the letters."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Grey, Image
from train.scene.draw import over
from train.train_error import TrainError

FONTS = Path("/usr/share/fonts/truetype/roadgeek")
FONT_PACKAGE = "fonts-roadgeek"
GLYPH_PX = 300
PX_PER_M = 2400

Colour = tuple[int, int, int]
"""Blue, green, red."""


@dataclass(frozen=True)
class PlateStyle:
    """How the plates of one country look. Lengths in metres.

    Attributes:
        band: Left strip (EU) or top strip (Mercosur, US header), as wide or high as `band_size`.
        band_text: In the band's own colour: a country code, or a header.
        letters: Height of the capitals.
        margin: Left and right of the text, which fills the rest; a space counts as two gaps more.
        stretch: Of the letters' natural width.
    """

    size: tuple[float, float]
    ground: Colour
    ink: Colour
    band: Literal["left", "top", "none"]
    band_size: float
    band_colour: Colour
    band_ink: Colour
    band_text: str
    letters: float
    margin: float
    stretch: float
    font: str


def plate_texture(style: PlateStyle, text: str) -> Image:
    """The plate as a flat picture at `PX_PER_M`.

    Raises:
        TrainError: The font's package is not installed, or the text is wider than the plate.
    """
    width, height = (round(side * PX_PER_M) for side in style.size)
    picture = np.full((height, width, 3), style.ground, np.uint8)
    x, y, free, tall = _paint_band(picture, style)
    line = text_mask(style, text, free - round(2 * style.margin * PX_PER_M))
    _ink(
        picture, line, (x + (free - line.shape[1]) // 2, y + (tall - line.shape[0]) // 2), style.ink
    )
    return _framed(picture, style)


def text_mask(style: PlateStyle, text: str, width: int) -> Grey:
    """The letters of `text` on one line of `width` pixels, 255 where there is ink.

    Raises:
        TrainError: The letters need more.
    """
    tall = round(style.letters * PX_PER_M)
    glyphs = [_scaled(_glyph(style.font, c), tall, style.stretch) for c in text if c != " "]
    gaps = len(text) - 1 + text.count(" ")
    gap = (width - sum(glyph.shape[1] for glyph in glyphs)) / gaps
    if gap < 1:
        raise TrainError(f"plate {text}: the letters do not fit into {width} px")
    line, x, rest = np.zeros((tall, width), np.uint8), 0.0, iter(glyphs)
    for character in text:
        if character == " ":
            x += 2 * gap
            continue
        glyph = next(rest)
        left = min(round(x), width - glyph.shape[1])
        line[:, left : left + glyph.shape[1]] = glyph
        x += glyph.shape[1] + gap
    return line


@cache
def _face(font: str) -> cv2.FontFace:
    path = FONTS / font
    if not path.is_file():
        raise TrainError(f"{path} is missing: apt-get install {FONT_PACKAGE}")
    return cv2.FontFace(str(path))


@cache
def _glyph(font: str, character: str) -> Grey:
    """One character, cropped to its ink."""
    canvas = np.zeros((2 * GLYPH_PX, 2 * GLYPH_PX), np.uint8)
    origin = (GLYPH_PX // 2, GLYPH_PX * 3 // 2)
    cv2.putText(canvas, character, origin, (255,), _face(font), GLYPH_PX)
    rows, columns = np.nonzero(canvas > 127)
    return canvas[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def _scaled(glyph: Grey, tall: int, stretch: float) -> Grey:
    width = round(glyph.shape[1] * tall / glyph.shape[0] * stretch)
    return np.asarray(cv2.resize(glyph, (width, tall), interpolation=cv2.INTER_AREA), np.uint8)


def _ink(picture: Image, mask: Grey, corner: tuple[int, int], colour: Colour) -> None:
    """Blends `colour` into `picture` where `mask` is set, its top left at `corner`."""
    x, y = corner
    view = picture[y : y + mask.shape[0], x : x + mask.shape[1]]
    over(view, colour, mask.astype(np.float32) / 255)


def _paint_band(picture: Image, style: PlateStyle) -> tuple[int, int, int, int]:
    """Paints the band; returns x, y, width, height of what is left for the text."""
    height, width = picture.shape[:2]
    size = round(style.band_size * PX_PER_M)
    if style.band == "none":
        return 0, 0, width, height
    if style.band == "top":
        picture[:size] = style.band_colour
        _label(picture[:size], style, tall=round(size * 0.55), middle=0.55)
        return 0, size, width, height - size
    picture[:, :size] = style.band_colour
    _stars(picture, (size * 0.5, height * 0.32), size * 0.27)
    _label(picture[:, :size], style, tall=round(size * 0.42), middle=0.76)
    return size, 0, width - size, height


def _label(view: Image, style: PlateStyle, *, tall: int, middle: float) -> None:
    """Writes the band's text centred in `view`, its middle at `middle` of the height."""
    pieces = [_glyph("RG2014D.ttf", character) for character in style.band_text]
    gap = np.zeros((tall, tall // 4), np.uint8)
    scaled = [
        cv2.resize(p, (round(p.shape[1] * tall / p.shape[0]), tall)).astype(np.uint8)
        for p in pieces
    ]
    line: NDArray[np.uint8] = np.hstack([part for piece in scaled for part in (piece, gap)][:-1])
    corner = ((view.shape[1] - line.shape[1]) // 2, round(view.shape[0] * middle - tall / 2))
    _ink(view, line, corner, style.band_ink)


def _stars(picture: Image, centre: tuple[float, float], radius: float) -> None:
    """The ring of twelve."""
    for turn in np.linspace(0, 2 * np.pi, 12, endpoint=False):
        x, y = centre[0] + radius * np.sin(turn), centre[1] - radius * np.cos(turn)
        cv2.circle(
            picture,
            (round(x), round(y)),
            max(2, round(radius / 6)),
            (60, 205, 250),
            -1,
            cv2.LINE_AA,
        )


def _framed(picture: Image, style: PlateStyle) -> Image:
    """Adds the pressed edge, which catches less light."""
    height, width = picture.shape[:2]
    edge = round(0.004 * PX_PER_M)
    shade = tuple(round(channel * 0.72) for channel in style.ground)
    cv2.rectangle(picture, (0, 0), (width - 1, height - 1), shade, edge, cv2.LINE_AA)
    return picture
