"""Runs a bundle's networks over labelled pictures and over pictures and clips without plates."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from plateid.capture.pictures import find_sources, is_picture, read_picture
from plateid.capture.stream import read_clip
from plateid.config import ModelsConfig
from plateid.core.geometry import Boxes, Letterbox
from plateid.core.reading import read_once
from plateid.core.records import Box, Picture
from plateid.models.networks import Networks
from train.dataset.pictures import LabelledPicture
from train.evaluation.metrics import NONE, Flags, Floats, Sample, match

FLOOR = 0.001
"""The detector's threshold here, as in ultralytics: mAP is the area under the whole curve, so boxes
count down to next to nothing. The bundle's threshold is applied to them afterwards. Graphs of new
bundles give 300 candidates; of what NMS leaves of them, metrics.MAX_BOXES count."""
REFERENCE = (640, 384)
"""Heights of plates are those in a picture that is scaled to fit into it, whatever the bundle's
input, so that bundles stay comparable."""
LUMA_SIZE = (64, 36)


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


@dataclass(frozen=True, eq=False)
class Result:
    """What is in one picture, and what the networks made of it.

    Attributes:
        source: The name of its source.
        shot: Where it is.
        luma: Mean brightness, 0 to 255.
        scale: Pixels of REFERENCE for one of the picture.
        boxes: Shape (N, 4), best first, with scores of FLOOR and more.
        scores: Shape (N,).
        truths: Shape (M, 4).
        texts: What the plates say; "" where nobody transcribed it.
        reads: What was read of each plate that has a text and a box, whatever its score, or "".
    """

    source: str
    shot: Shot
    luma: float
    scale: float
    boxes: Boxes
    scores: Floats
    truths: Boxes
    texts: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For people: source and picture."""
        named = self.shot.path.name == self.source
        return str(self.shot) if named else f"{self.source} / {self.shot}"

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


def _within(boxes: Boxes, scale: float, band: tuple[float, float]) -> Flags:
    heights = (boxes[:, 3] - boxes[:, 1]) * scale
    return np.asarray((heights >= band[0]) & (heights < band[1]))


def box_of(row: Floats) -> Box:
    """A row of boxes."""
    x1, y1, x2, y2 = row.tolist()
    return x1, y1, x2, y2


class Predictor:
    """The networks of a bundle, asked as the device asks them."""

    def __init__(self, bundle: Path) -> None:
        """Loads the bundle.

        Raises:
            PlateidError: It cannot be used.
        """
        networks = Networks(ModelsConfig(bundle=bundle))
        self.spec = networks.spec
        # The device's threshold later drops boxes that NMS was done with: the rest is the same.
        self._detector = networks.detector(threshold=FLOOR)
        self._reader = networks.reader()

    def labelled(self, source: str, labelled: LabelledPicture) -> Result:
        """Finds the plates of a labelled picture and reads those that have a text.

        Raises:
            PlateidError: The picture cannot be read.
        """
        picture = read_picture(labelled.path)
        result = replace(
            self._result(source, Shot(labelled.path), picture),
            truths=np.array(labelled.boxes, np.float32).reshape(-1, 4),
            texts=labelled.texts,
        )
        return replace(result, reads=self._reads(picture, result))

    def negatives(self, path: Path) -> Iterator[Result]:
        """Looks for plates in a picture, a clip or a folder of them where there are none.

        Raises:
            PlateidError: Something cannot be read.
        """
        for shot, picture in _shots(path):
            yield self._result(path.name, shot, picture)

    def _result(self, source: str, shot: Shot, picture: Picture) -> Result:
        found = self._detector.detect(picture)
        return Result(
            source=source,
            shot=shot,
            luma=float(picture.luma(*LUMA_SIZE).mean()),
            scale=Letterbox.fit((picture.width, picture.height), REFERENCE).scale,
            boxes=np.array([d.box for d in found], np.float32).reshape(-1, 4),
            scores=np.array([d.score for d in found], np.float32),
            truths=np.zeros((0, 4), np.float32),
        )

    def _reads(self, picture: Picture, result: Result) -> tuple[str, ...]:
        matches, reads = match(result.sample()), [""] * len(result.truths)
        for box, truth in zip(matches.boxes, matches.truths, strict=True):
            if truth != NONE and result.texts[truth]:
                (read,) = self._reader.read(picture, [box_of(result.boxes[box])])
                reads[truth] = read_once(read).plate
        return tuple(reads)


def _shots(path: Path) -> Iterator[tuple[Shot, Picture]]:
    for file in find_sources(path):
        if is_picture(file):
            yield Shot(file), read_picture(file)
        else:
            for frame in read_clip(file):
                yield Shot(file, frame.sequence, frame.media_time_s or 0.0), frame.picture
