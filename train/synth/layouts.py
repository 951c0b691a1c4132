"""Layouts of plates: a TOML file for each country, checked when it is read."""

import functools
import re
from importlib import resources
from typing import Annotated, Any, Literal, Self

import numpy as np
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
    "bar": 0.4,
}
"""Kinds of gaps between characters and their widths, in heights of a character."""
Graphic = Literal["fade", "hills", "blobs", "stripes", "picture", "pattern", "rays"]
ROW = "/"
"""The part of a pattern that starts the second row."""
FREE = "*"
"""The row of a pattern that has a random format."""
LENGTHS = (3, 12)
"""Least and largest number of characters of a plate with a free format."""
MAX_GROUPS = 4
"""Largest number of groups in a free row."""
KINDS = {"D": 0.45, "X": 0.2, "L": 0.05, "": 0.3}
"""What all groups of a free format consist of, as in a pattern, and its share (0-1). The last
kind has groups of digits and groups of letters."""
STACK = re.compile(r"\[(.+)\]")
"""A part whose characters stand above each other."""
_PIECE = r"[^][/|+ ]+(\|[^][/|+ ]+)*"
_PART = rf"{_PIECE}(\+{_PIECE})*"
_ROW = rf"({_PART}|\[{_PART}\])( ({_PART}|\[{_PART}\]))*"
PATTERN = re.compile(rf"{_ROW}( / {_ROW})?")
"""Syntax of a pattern, such as `LL DD LLL`, `L|A+DD / [LL] DDD`, or `*` for a free row."""


def _in_charset(characters: str) -> str:
    if foreign := sorted(set(characters) - set(CHARSET)):
        raise ValueError(f"{' '.join(foreign)}: not in the charset, which is {CHARSET}")
    return characters


def _pattern(pattern: str) -> str:
    _in_charset(re.sub(r"[ |+/\[\]]", "", "".join(pattern.split(FREE))))
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


Colours = Annotated[tuple[HexColour, ...], Field(min_length=1)]
Letters = Annotated[str, Field(min_length=1), AfterValidator(_in_charset)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Gaps = Annotated[tuple[Annotated[str, AfterValidator(_gap)], ...], Field(min_length=1)]
Family = Annotated[str, AfterValidator(_family)]


class Band(Section):
    """A coloured band at an edge of the plate: a country code, or the name of a state."""

    side: Literal["left", "right", "both", "top"]
    colour: Colours
    width: float = Field(gt=0, lt=0.5)  # share of the plate's width, at the top of its height
    codes: tuple[str, ...] = ()  # texts of the band, of which one is chosen
    ink: HexColour = "#f4f4f4"
    stars: Share = 0.0  # share of bands with a ring of stars
    share: Share = 1.0  # share of plates that have the band


class Caption(Section):
    """A small text beside the plate's text: a state, a slogan, a dealer."""

    texts: tuple[str, ...] = Field(min_length=1)  # one is chosen; * stands for an invented word
    place: Literal["top", "bottom", "left", "right"]
    height: Range  # of its capitals, share of the plate's height
    family: Family = "caption"
    ink: tuple[HexColour, ...] = ()  # by default that of the plate
    share: Share = 1.0  # share of plates that have the caption


class PlateLayout(Section):
    """One kind of plate, by default a European one. A Share is that of the plates with a thing."""

    weight: float = Field(default=1.0, gt=0)  # frequency among the country's plates
    size: tuple[Length, Length] = (520, 112)  # width and height, mm
    background: Colours = ("#eceeec", "#e4e6ea", "#f2f2ee", "#d8dadc")
    ink: Colours = ("#1a1a1c", "#101014", "#2a2a30")
    patterns: tuple[Pattern, ...] = Field(min_length=1)  # / starts a row, [] stacks, * is free
    letters: Letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    family: Family = "din"  # of fonts, in fonts.toml
    aspect: Range = (0.5, 0.6)  # width of an ordinary letter, in heights of it
    cap_heights: tuple[Length, ...] = Field(default=(77,), min_length=1, max_length=2)  # mm, by row
    spacing: Range = (0.1, 0.2)  # between characters, in their heights
    monospaced: Share = 0.0
    row_centres: tuple[float, ...] = ()  # of each row, share of the plate's height
    gaps: tuple[Gaps, ...] = Field(default=(("space",),), min_length=1)  # the first, the second...
    prefixes: str = ""  # symbols of which one precedes the text
    frame: Share = 0.5
    band: Band | None = None
    captions: tuple[Caption, ...] = ()
    graphics: tuple[Graphic, ...] = ()
    graphics_share: Share = 0.0
    tints: tuple[HexColour, ...] = ("#7fa8d8", "#d8b070", "#90c090", "#d890a0", "#a0a0c8")
    stickers: Share = 0.0
    seams: Share = 0.0  # strokes at the ends that are no characters
    bolts: Share = 0.3
    emboss: Share = 0.5

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
    weight: float = Field(gt=0)  # frequency among all files
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


def with_free_rows(rng: np.random.Generator, pattern: str) -> str:
    """Returns the pattern with a random format, such as `DDDDD DDD DD`, in place of free rows."""
    words = pattern.split(" ")
    rows = words.count(FREE)
    if not rows:
        return pattern
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    length = int(rng.integers(max(LENGTHS[0], rows), LENGTHS[1] + 1))
    formats = iter([_groups(rng, count, kind) for count in random_split(rng, length, rows)])
    return " ".join(next(formats) if word == FREE else word for word in words)


def _groups(rng: np.random.Generator, length: int, kind: str) -> str:
    count = int(rng.integers(1, min(MAX_GROUPS, length) + 1))
    sizes = random_split(rng, length, count)
    return " ".join((kind or str(rng.choice(["D", "L"]))) * size for size in sizes)


def random_split(rng: np.random.Generator, length: int, parts: int) -> list[int]:
    """Returns a random division of the length into parts of at least one character."""
    cuts = np.sort(rng.choice(np.arange(1, length), parts - 1, replace=False))
    sizes: list[int] = np.diff([0, *cuts, length]).tolist()
    return sizes
