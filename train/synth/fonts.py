"""Glyphs of a family: masks of open fonts and of drawn ones, cached, all of the same height."""

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
from train.synth.stroke_fonts import CAP, StrokeFont, styles
from train.train_error import TrainError

FONT_FOLDER = Path("/usr/share/fonts")
REFERENCE = "H"
CHINESE = "DroidSansFallbackFull.ttf"
"""Has Chinese and Japanese characters; of the Debian package fonts-droid-fallback."""
Mask = NDArray[np.uint8]


class StrokeChoice(Section):
    """The drawn fonts of a family, and how often one of them is taken."""

    style: str
    share: float = Field(ge=0, le=1)


class Family(Section):
    """Fonts that look alike; see fonts.toml."""

    files: tuple[str, ...]
    strokes: StrokeChoice | None = None


@dataclass(frozen=True)
class FontFace:
    """One font: a file's name, or a style and its number."""

    name: str
    number: int = -1

    def glyph(self, character: str) -> Mask:
        """Opacity, shape (CAP or more, W): the first CAP rows are those of a capital."""
        return _glyph(self, character)

    @functools.cached_property
    def width(self) -> float:
        """Of an ordinary letter, in heights of it."""
        return float(self.glyph(REFERENCE).shape[1] / CAP)


@functools.cache
def families() -> dict[str, Family]:
    """The families by name."""
    table = tomllib.loads(resources.files("train.synth").joinpath("fonts.toml").read_text())
    return {name: Family.model_validate(entry) for name, entry in table["families"].items()}


@functools.cache
def font_files() -> dict[str, Path]:
    """Where each font is that a family names.

    Raises:
        TrainError: One is not installed.
    """
    found = {path.name: path for path in FONT_FOLDER.rglob("*.[ot]tf")}
    wanted = {name for family in families().values() for name in family.files}
    if missing := sorted(wanted - set(found)):
        raise TrainError(
            f"{FONT_FOLDER}: {', '.join(missing)}: not installed; `make debian` installs them"
        )
    return {name: found[name] for name in sorted(wanted)}


def pick_face(rng: np.random.Generator, family: str) -> FontFace:
    """A font of the family."""
    spec = families()[family]
    if spec.strokes and rng.random() < spec.strokes.share:
        return _face(spec.strokes.style, int(rng.integers(styles()[spec.strokes.style].count)))
    return _face(spec.files[rng.integers(len(spec.files))])


_face = functools.cache(FontFace)
_stroke_font = functools.cache(StrokeFont)


@functools.cache
def _glyph(face: FontFace, character: str) -> Mask:
    if face.number >= 0:
        return _stroke_font(face.name, face.number).mask(character)
    return _from_file(face.name, character)


@functools.lru_cache(maxsize=512)
def sized(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A font file at a size in pixels per em."""
    return ImageFont.truetype(str(font_files()[name]), size)


@functools.cache
def _capital(name: str) -> tuple[ImageFont.FreeTypeFont, int]:
    """The font at the size where capitals are CAP high, and how far above the baseline they are."""
    box = sized(name, 200).getbbox(REFERENCE, anchor="ls")
    font = sized(name, round(200 * CAP / (box[3] - box[1])))
    return font, round(-font.getbbox(REFERENCE, anchor="ls")[1])


def _from_file(name: str, character: str) -> Mask:
    """Cut out with its tail; an O's overshoot above a capital is cut off."""
    font, ascent = _capital(name)
    left, _, right, bottom = font.getbbox(character, anchor="ls")
    width = max(1, round(right - left))
    sheet = PilImage.new("L", (width, CAP + max(0, round(bottom) + ascent - CAP)))
    ImageDraw.Draw(sheet).text((-left, ascent), character, font=font, fill=255, anchor="ls")
    mask = np.array(sheet, np.uint8)
    tail = mask[CAP:]
    return mask if tail.size and tail.max(initial=0) and len(tail) > 0.06 * CAP else mask[:CAP]


@functools.lru_cache(maxsize=4096)
def line_mask(name: str, text: str, height: int) -> Mask:
    """A whole line of small text as opacity, `height` rows for its capitals; cut to its ink."""
    font = sized(name, max(4, round(height * 1.4)))
    left, top, right, bottom = (round(value) for value in font.getbbox(text))
    sheet = PilImage.new("L", (max(1, right - left), max(1, bottom - top)))
    ImageDraw.Draw(sheet).text((-left, -top), text, font=font, fill=255)
    return np.array(sheet, np.uint8)
