"""Glyphs of a family of fonts as masks: from open fonts and from drawn ones, cached."""

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont
from pydantic import Field

from plateid.config.section import Section
from train.synth.stroke_fonts import CAP, StrokeFont, glyph_table
from train.train_error import TrainError

FONT_FOLDER = Path("/usr/share/fonts")
"""Directory of the installed fonts."""
REFERENCE = "H"
"""The letter that gives the height and the width of a font."""
CHINESE = "DroidSansFallbackFull.ttf"
"""A font with Chinese and Japanese characters, from the Debian package fonts-droid-fallback."""
Mask = NDArray[np.uint8]
"""Opacity, shape (H, W), 0 to 255."""


class StrokeChoice(Section):
    """The style of a family's drawn fonts, and the share of plates that use one of them."""

    style: str
    share: float = Field(ge=0, le=1)


class Family(Section):
    """Fonts that look alike; see fonts.toml."""

    files: tuple[str, ...]
    strokes: StrokeChoice | None = None


@dataclass(frozen=True)
class FontFace:
    """One font: the name of a file, or a style and its number."""

    name: str
    number: int = -1

    def glyph(self, character: str) -> Mask:
        """Returns the mask of a character; its first CAP rows are those of a capital."""
        return _glyph(self, character)

    @property
    def width(self) -> float:
        """Width of an ordinary letter, in heights of it."""
        return float(self.glyph(REFERENCE).shape[1] / CAP)


@functools.cache
def families() -> dict[str, Family]:
    """Returns the families by name."""
    table = tomllib.loads(resources.files("train.synth").joinpath("fonts.toml").read_text())
    return {name: Family.model_validate(entry) for name, entry in table["families"].items()}


@functools.cache
def font_files() -> dict[str, Path]:
    """Returns the fonts' paths by name, in a fixed order; raises TrainError if one is missing."""
    found = {path.name: path for path in FONT_FOLDER.rglob("*.[ot]tf")}
    wanted = {name for family in families().values() for name in family.files}
    if missing := sorted(wanted - set(found)):
        raise TrainError(
            f"{FONT_FOLDER}: {', '.join(missing)}: not installed; `make debian` installs them"
        )
    return {name: found[name] for name in sorted(wanted)}


def pick_face(rng: np.random.Generator, family: str) -> FontFace:
    """Returns a random font of the family."""
    spec = families()[family]
    if spec.strokes and rng.random() < spec.strokes.share:
        style = spec.strokes.style
        return FontFace(style, int(rng.integers(glyph_table().styles[style].count)))
    return FontFace(spec.files[rng.integers(len(spec.files))])


_stroke_font = functools.cache(StrokeFont)


@functools.lru_cache(maxsize=512)
def sized(name: str, size: int) -> ImageFont.FreeTypeFont:
    """Returns a font file at a size in pixels per em."""
    return ImageFont.truetype(str(font_files()[name]), size)


@functools.cache
def _with_caps(name: str) -> tuple[ImageFont.FreeTypeFont, int]:
    """Returns the font at the size at which capitals are CAP high, and their exact height."""
    box = sized(name, 200).getbbox(REFERENCE, anchor="ls")
    font = sized(name, round(200 * CAP / (box[3] - box[1])))
    return font, round(-font.getbbox(REFERENCE, anchor="ls")[1])


@functools.cache
def _glyph(face: FontFace, character: str) -> Mask:
    """Returns a glyph with its tail; cuts off what rises above a capital, as an O does."""
    if face.number >= 0:
        return _stroke_font(face.name, face.number).mask(character)
    font, ascent = _with_caps(face.name)
    left, _, right, bottom = font.getbbox(character, anchor="ls")
    width = max(1, round(right - left))
    canvas = PilImage.new("L", (width, CAP + max(0, round(bottom) + ascent - CAP)))
    ImageDraw.Draw(canvas).text((-left, ascent), character, font=font, fill=255, anchor="ls")
    mask = np.array(canvas, np.uint8)
    tail = mask[CAP:]
    return mask if tail.size and tail.max(initial=0) and len(tail) > 0.06 * CAP else mask[:CAP]


@functools.lru_cache(maxsize=4096)
def line_mask(name: str, text: str, height: int) -> Mask:
    """Returns a line of small text with capitals of about `height` rows, cropped to its ink."""
    font = sized(name, max(4, round(height * 1.4)))
    left, top, right, bottom = (round(value) for value in font.getbbox(text))
    canvas = PilImage.new("L", (max(1, right - left), max(1, bottom - top)))
    ImageDraw.Draw(canvas).text((-left, -top), text, font=font, fill=255)
    return np.array(canvas, np.uint8)
