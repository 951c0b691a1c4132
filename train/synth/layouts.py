"""Layouts of plates, as data: a TOML file for each country, checked when it is read."""

import functools
import re
from importlib import resources
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from plateid.config.section import Section
from plateid.core.text import CHARSET
from train.synth.fonts import families
from train.toml_reading import read_toml

Share = Annotated[float, Field(ge=0, le=1)]
Length = Annotated[float, Field(gt=0)]
Range = tuple[float, float]
Colour = Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]
Gap = Literal[
    "none",
    "thin",
    "space",
    "wide",
    "dash",
    "dot",
    "star",
    "seal",
    "crest",
    "shape",
    "emblem",
    "ring",
]
Graphic = Literal["fade", "hills", "blobs", "stripes", "picture", "pattern", "rays"]
ROW = "/"
"""The part of a pattern that begins the second line."""
STACK = re.compile(r"\[(.+)\]")
"""A part whose characters stand above each other."""
_PIECE = r"[^][/|+ ]+(\|[^][/|+ ]+)*"
_PART = rf"{_PIECE}(\+{_PIECE})*"
_ROW = rf"({_PART}|\[{_PART}\])( ({_PART}|\[{_PART}\]))*"
PATTERN = re.compile(rf"{_ROW}( / {_ROW})?")


class Band(Section):
    """A coloured strip at a side: the country's, or a state's name above."""

    side: Literal["left", "right", "both", "top"]
    colour: tuple[Colour, ...] = Field(min_length=1)
    width: float = Field(gt=0, lt=0.5, description="In widths of the plate, heights at the top")
    codes: tuple[str, ...] = Field(default=(), description="What stands in it; no part of the text")
    ink: Colour = "#f4f4f4"
    stars: Share = 0.0
    share: Share = 1.0


class Caption(Section):
    """Words beside the text: a state, a slogan, a dealer; no part of the text."""

    words: tuple[str, ...] = Field(
        min_length=1, description="One is chosen; * stands for random letters"
    )
    place: Literal["top", "bottom", "left", "right"]
    height: Range = Field(description="Of its capitals, in heights of the plate")
    family: str = "caption"
    ink: tuple[Colour, ...] = Field(default=(), description="Left out: the ink of the text")
    share: Share = 1.0

    @field_validator("family")
    @classmethod
    def _known(cls, family: str) -> str:
        return _known_family(family)


class PlateLayout(Section):
    """One kind of plate."""

    weight: float = Field(default=1.0, gt=0)
    size: tuple[Length, Length] = Field(description="Width and height, mm")
    paper: tuple[Colour, ...] = Field(min_length=1)
    ink: tuple[Colour, ...] = Field(min_length=1)
    patterns: tuple[str, ...] = Field(min_length=1, description="As formats.toml, / and [] besides")
    letters: str = Field(default="ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_length=1)
    digits: str = Field(default="0123456789", min_length=1)
    family: str
    aspect: Range = Field(description="Width of an ordinary letter, in heights of it")
    cap: tuple[Length, ...] = Field(min_length=1, max_length=2, description="Height of rows, mm")
    spacing: Range = Field(default=(0.1, 0.2), description="Between characters, in heights")
    cell: Share = Field(default=0.0, description="How often every character has the same room")
    centres: tuple[float, ...] = Field(default=(), description="Of rows, in heights of the plate")
    gaps: tuple[Annotated[tuple[Gap, ...], Field(min_length=1)], ...] = Field(
        default=(("space",),), min_length=1, description="By their order"
    )
    lead: str = Field(default="", description="Characters of which one is drawn before the text")
    frame: Share = 0.5
    band: Band | None = None
    captions: tuple[Caption, ...] = ()
    graphics: tuple[Graphic, ...] = ()
    graphic: Share = 0.0
    tints: tuple[Colour, ...] = ("#7fa8d8", "#d8b070", "#90c090", "#d890a0", "#a0a0c8")
    stickers: Share = 0.0
    bolts: Share = 0.3
    emboss: Share = 0.5

    @field_validator("letters", "digits")
    @classmethod
    def _in_charset(cls, characters: str) -> str:
        _refuse_foreign(characters)
        return characters

    @field_validator("family")
    @classmethod
    def _known(cls, family: str) -> str:
        return _known_family(family)

    @field_validator("patterns")
    @classmethod
    def _legal(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            _refuse_foreign(re.sub(r"[ |+/\[\]]", "", pattern))
            if pattern.split(" ").count(ROW) > 1:
                raise ValueError(f"{pattern!r} has more than two rows")
            if not PATTERN.fullmatch(pattern):
                raise ValueError(f"{pattern!r} is no pattern, as 'LL DD LLL', 'L|A+DD / [LL] DDD'")
        return patterns

    @model_validator(mode="after")
    def _rows_agree(self) -> Self:
        for pattern in self.patterns:
            rows = pattern.split(" ").count(ROW) + 1
            if rows != len(self.cap):
                raise ValueError(f"cap has {len(self.cap)} heights, {pattern!r} has {rows} rows")
        if self.centres and len(self.centres) != len(self.cap):
            raise ValueError(f"centres has {len(self.centres)} rows, cap has {len(self.cap)}")
        return self


class Layout(Section):
    """All plates of a country; `region` is empty for what no country issues.

    What a file's table `every` says goes for all of its plates that do not say otherwise.
    """

    region: str = Field(pattern=r"^([a-z]{2})?$")
    weight: float = Field(gt=0, description="Among all files")
    plates: tuple[PlateLayout, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, said: Any) -> Any:
        match said:
            case {"every": dict(every), "plates": [*plates], **others}:
                filled = [{**every, **p} if isinstance(p, dict) else p for p in plates]
                return {**others, "plates": filled}
        return said


@functools.cache
def layouts() -> tuple[Layout, ...]:
    """All layouts that come with the trainer.

    Raises:
        TrainError: One of the files is wrong.
    """
    folder = resources.files("train.synth").joinpath("layouts")
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return tuple(read_toml(file, Layout) for file in files if file.name.endswith(".toml"))


def regions() -> tuple[str, ...]:
    """The countries of all layouts, in the order of their codes."""
    return tuple(sorted({layout.region for layout in layouts()} - {""}))


def _refuse_foreign(characters: str) -> None:
    if foreign := sorted(set(characters) - set(CHARSET)):
        raise ValueError(f"{' '.join(foreign)}: not in the charset, which is {CHARSET}")


def _known_family(family: str) -> str:
    if family not in families():
        raise ValueError(f"no family {family!r} in fonts.toml; known: {' '.join(families())}")
    return family
