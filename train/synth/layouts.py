"""Layouts of plates: a TOML file for each country, checked when it is read."""

import functools
import re
from importlib import resources
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from plateid.config.section import Section
from plateid.core.text import CHARSET
from train.synth.fonts import families
from train.toml_reading import read_toml

Share = Annotated[float, Field(ge=0, le=1)]
Length = Annotated[float, Field(gt=0)]
Range = tuple[float, float]
"""Least and largest value of a random number."""
HexColour = Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]
GAPS = {
    "none": 0.0,
    "thin": 0.12,
    "space": 0.38,
    "wide": 0.75,
    "dash": 0.5,
    "dot": 0.32,
    "star": 0.5,
    "seal": 0.62,
    "crest": 0.62,
    "shape": 0.6,
    "emblem": 1.0,
    "ring": 0.45,
}
"""Kinds of gaps between characters and their widths, in heights of a character."""
Graphic = Literal["fade", "hills", "blobs", "stripes", "picture", "pattern", "rays"]
ROW = "/"
"""The part of a pattern that starts the second row."""
STACK = re.compile(r"\[(.+)\]")
"""A part whose characters stand above each other."""
_PIECE = r"[^][/|+ ]+(\|[^][/|+ ]+)*"
_PART = rf"{_PIECE}(\+{_PIECE})*"
_ROW = rf"({_PART}|\[{_PART}\])( ({_PART}|\[{_PART}\]))*"
PATTERN = re.compile(rf"{_ROW}( / {_ROW})?")


def _in_charset(characters: str) -> str:
    if foreign := sorted(set(characters) - set(CHARSET)):
        raise ValueError(f"{' '.join(foreign)}: not in the charset, which is {CHARSET}")
    return characters


def _pattern(pattern: str) -> str:
    _in_charset(re.sub(r"[ |+/\[\]]", "", pattern))
    if pattern.split(" ").count(ROW) > 1:
        raise ValueError(f"{pattern!r} has more than two rows")
    if not PATTERN.fullmatch(pattern):
        raise ValueError(f"{pattern!r} is no pattern such as 'LL DD LLL' or 'L|A+DD / [LL] DDD'")
    return pattern


def _gap(kind: str) -> str:
    if kind not in GAPS:
        raise ValueError(f"no gap {kind!r}; known: {' '.join(GAPS)}")
    return kind


def _family(family: str) -> str:
    if family not in families():
        raise ValueError(f"no family {family!r} in fonts.toml; known: {' '.join(families())}")
    return family


Gap = Annotated[str, AfterValidator(_gap)]
Family = Annotated[str, AfterValidator(_family), Field(description="Fonts, see fonts.toml")]


class Band(Section):
    """A coloured band at an edge of the plate: a country code, or the name of a state."""

    side: Literal["left", "right", "both", "top"]
    colour: tuple[HexColour, ...] = Field(min_length=1)
    width: float = Field(gt=0, lt=0.5, description="Share of the plate's width; at the top: height")
    codes: tuple[str, ...] = Field(default=(), description="Texts of the band, one is chosen")
    ink: HexColour = "#f4f4f4"
    stars: Share = Field(default=0.0, description="Share of bands with a ring of stars")
    share: Share = Field(default=1.0, description="Share of plates that have the band")


class Caption(Section):
    """A small text beside the plate's text: a state, a slogan, a dealer."""

    texts: tuple[str, ...] = Field(
        min_length=1, description="One is chosen; * stands for an invented word"
    )
    place: Literal["top", "bottom", "left", "right"]
    height: Range = Field(description="Height of its capitals, share of the plate's height")
    family: Family = "caption"
    ink: tuple[HexColour, ...] = Field(default=(), description="Unset: the ink of the plate")
    share: Share = Field(default=1.0, description="Share of plates that have the caption")


class PlateLayout(Section):
    """One kind of plate."""

    weight: float = Field(default=1.0, gt=0, description="Frequency among the country's plates")
    size: tuple[Length, Length] = Field(description="Width and height, mm")
    background: tuple[HexColour, ...] = Field(min_length=1)
    ink: tuple[HexColour, ...] = Field(min_length=1)
    patterns: tuple[Annotated[str, AfterValidator(_pattern)], ...] = Field(
        min_length=1, description="As in formats.toml; / starts a row, [] stacks characters"
    )
    letters: Annotated[str, AfterValidator(_in_charset)] = Field(
        default="ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_length=1
    )
    family: Family
    aspect: Range = Field(description="Width of an ordinary letter, in heights of it")
    cap_heights: tuple[Length, ...] = Field(
        min_length=1, max_length=2, description="Height of the capitals of each row, mm"
    )
    spacing: Range = Field(default=(0.1, 0.2), description="Between characters, in their heights")
    monospaced: Share = Field(default=0.0, description="Share of plates with equal advance widths")
    row_centres: tuple[float, ...] = Field(
        default=(), description="Centre of each row, share of the plate's height"
    )
    gaps: tuple[Annotated[tuple[Gap, ...], Field(min_length=1)], ...] = Field(
        default=(("space",),), min_length=1, description="Kinds of the first gap, the second, ..."
    )
    prefixes: str = Field(default="", description="Symbols of which one precedes the text")
    frame: Share = Field(default=0.5, description="Share of plates with a frame")
    band: Band | None = None
    captions: tuple[Caption, ...] = ()
    graphics: tuple[Graphic, ...] = ()
    graphics_share: Share = Field(default=0.0, description="Share of plates with graphics")
    tints: tuple[HexColour, ...] = Field(
        default=("#7fa8d8", "#d8b070", "#90c090", "#d890a0", "#a0a0c8"),
        description="Colours of the graphics",
    )
    stickers: Share = Field(default=0.0, description="Share of plates with stickers")
    bolts: Share = Field(default=0.3, description="Share of plates with bolts")
    emboss: Share = Field(default=0.5, description="Share of plates with raised characters")

    @model_validator(mode="after")
    def _rows_agree(self) -> Self:
        heights, centres = len(self.cap_heights), len(self.row_centres)
        for pattern in self.patterns:
            rows = pattern.split(" ").count(ROW) + 1
            if rows != heights:
                raise ValueError(f"cap_heights has {heights} rows, {pattern!r} has {rows}")
        if centres not in (0, heights):
            raise ValueError(f"row_centres has {centres} rows, cap_heights has {heights}")
        return self


class Layout(Section):
    """All plates of a country; `region` is empty for plates that no country issues.

    The table `defaults` of a file completes each of its plates.
    """

    region: str = Field(pattern=r"^([a-z]{2})?$")
    weight: float = Field(gt=0, description="Frequency among all files")
    plates: tuple[PlateLayout, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, table: Any) -> Any:
        match table:
            case {"defaults": dict(defaults), "plates": [*plates], **others}:
                completed = [{**defaults, **p} if isinstance(p, dict) else p for p in plates]
                return {**others, "plates": completed}
        return table


@functools.cache
def layouts() -> tuple[Layout, ...]:
    """Returns all layouts that ship with the trainer; raises TrainError if a file is wrong."""
    folder = resources.files("train.synth").joinpath("layouts")
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return tuple(read_toml(file, Layout) for file in files if file.name.endswith(".toml"))
