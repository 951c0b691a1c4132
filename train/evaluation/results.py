"""What is in a picture, and what the networks made of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plateid.core.geometry import Boxes
from plateid.core.records import Box, PlateRead
from train.dataset.formats.image_labels import LabelledBox
from train.evaluation.metrics import Flags, Floats, Sample

REFERENCE = (640, 384)
"""Heights of plates are those in a picture that is scaled to fit into it, whatever the bundle's
input, so that bundles stay comparable."""
CHARACTER = 0.65
"""Characters are 0.6 to 0.75 of a plate of one line, 75 of 110 mm on European ones; lines share the
height. American ones are lower: there this is an upper bound."""


@dataclass(frozen=True)
class Shot:
    """A picture's file, or a frame of a clip."""

    path: Path
    frame: int | None = None
    media_time_s: float = 0.0

    def __str__(self) -> str:
        """For people."""
        moment = "" if self.frame is None else f", {self.media_time_s:.1f} s"
        return f"{self.path.name}{moment}"


Look = tuple[PlateRead, ...]
"""The read of a box, and those of its `crop_variants`."""


@dataclass(frozen=True, eq=False)
class Transcribed:
    """A plate whose text is known, and what the reader saw of it.

    Attributes:
        source: The name of its source.
        shot: Its picture.
        labels: Its text, lines and legibility.
        box: Its true box, in pixels of the picture.
        luma: Mean brightness of the picture, 0 to 255.
        moment: Its ride and the second there, where the labels say so.
        crop: What was read in the true box.
        found: What was read in the detector's box; None where none covers the plate.
        score: Of that box.
        jittered: What was read in the true box changed as each of `Predictor`'s jitter.
        is_cut_out: Whether the picture is nothing but the plate; then nothing is detected.
    """

    source: str
    shot: Shot
    labels: LabelledBox
    box: Box
    luma: float
    moment: tuple[str, float] | None
    crop: Look
    found: Look | None = None
    score: float = 0.0
    jittered: tuple[Look, ...] = ()
    is_cut_out: bool = False

    @property
    def text(self) -> str:
        """What it says."""
        return self.labels.text

    @property
    def lines(self) -> int:
        """Of its text."""
        return 2 if self.labels.lines == "2" else 1

    @property
    def character_height(self) -> float:
        """About, in pixels of the picture: the reader's crop is cut out at full resolution."""
        return CHARACTER * (self.box[3] - self.box[1]) / self.lines


@dataclass(frozen=True, eq=False)
class Result:
    """What is in one picture, and what the networks made of it.

    Attributes:
        source: The name of its source.
        shot: Where it is.
        luma: Mean brightness, 0 to 255.
        scale: Pixels of REFERENCE for one of the picture.
        boxes: Shape (N, 4), best first, with scores of predictor.FLOOR and more.
        scores: Shape (N,).
        truths: Shape (M, 4).
        plates: Those of them that have a text.
    """

    source: str
    shot: Shot
    luma: float
    scale: float
    boxes: Boxes
    scores: Floats
    truths: Boxes
    plates: tuple[Transcribed, ...] = ()

    @property
    def name(self) -> str:
        """For people: source and picture."""
        return named(self.source, self.shot)

    def within(self, band: tuple[float, float]) -> Flags:
        """Shape (M,): which plates are in REFERENCE as high as the first, and not as the second."""
        return _within(self.truths, self.scale, band)

    def sample(self, band: tuple[float, float] = (0, np.inf)) -> Sample:
        """For metrics; plates and false boxes of other heights are ignored."""
        return Sample(
            self.boxes,
            self.scores,
            self.truths,
            boxes_ignored=~_within(self.boxes, self.scale, band),
            truths_ignored=~self.within(band),
        )


def named(source: str, shot: Shot) -> str:
    """For people: source and picture."""
    return str(shot) if shot.path.name == source else f"{source} / {shot}"


def _within(boxes: Boxes, scale: float, band: tuple[float, float]) -> Flags:
    heights = (boxes[:, 3] - boxes[:, 1]) * scale
    return np.asarray((heights >= band[0]) & (heights < band[1]))


def box_of(row: Floats) -> Box:
    """A row of boxes."""
    x1, y1, x2, y2 = row.tolist()
    return x1, y1, x2, y2
