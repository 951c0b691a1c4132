"""Runs a bundle's networks over labelled pictures and over pictures and clips without plates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from plateid.capture.pictures import find_sources, is_picture, read_picture
from plateid.capture.stream import read_clip
from plateid.config import ModelsConfig
from plateid.core import records
from plateid.core.geometry import Boxes, Letterbox
from plateid.core.reading import read_once
from plateid.models.networks import Networks
from train.dataset.pictures import Picture
from train.evaluation.metrics import NONE, Flags, Floats, Sample, match
from train.evaluation.sources import Source

FLOOR = 0.001
"""Least score of a box that mAP takes into account, as in ultralytics."""
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
class Judged:
    """What the networks made of one picture.

    Attributes:
        source: The name of its source.
        shot: Where it is.
        luma: Mean brightness, 0 to 255.
        scale: Pixels of REFERENCE for one of the picture.
        boxes: Shape (N, 4), best first, with scores of FLOOR and more.
        scores: Shape (N,).
        truths: Shape (M, 4).
        texts: What the plates say; "" where nobody transcribed it.
        reads: What was read of each plate that was found at the bundle's threshold, or "".
        is_open: Plates may be there unlabelled.
    """

    source: str
    shot: Shot
    luma: float
    scale: float
    boxes: Boxes
    scores: Floats
    truths: Boxes
    texts: tuple[str, ...]
    reads: tuple[str, ...]
    is_open: bool = False

    @property
    def name(self) -> str:
        """For people: source and picture."""
        named = self.shot.path.name == self.source
        return str(self.shot) if named else f"{self.source} / {self.shot}"

    def within(self, band: tuple[float, float]) -> Flags:
        """Shape (M,): which plates are in REFERENCE as high as the first, and not as the second."""
        return _within(self.truths, self.scale, band)

    def sample(self, band: tuple[float, float] = (0, np.inf)) -> Sample:
        """For metrics; plates and false boxes of other heights are left aside."""
        return Sample(
            self.boxes,
            self.scores,
            self.truths,
            boxes_aside=~_within(self.boxes, self.scale, band),
            truths_aside=~self.within(band),
        )


def _within(boxes: Boxes, scale: float, band: tuple[float, float]) -> Flags:
    heights = (boxes[:, 3] - boxes[:, 1]) * scale
    return np.asarray((heights >= band[0]) & (heights < band[1]))


class Judge:
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

    def labelled(self, source: Source, labelled: Picture) -> Judged:
        """Finds the plates of a labelled picture and reads those that have a text.

        Raises:
            PlateidError: The picture cannot be read.
        """
        picture = read_picture(labelled.path)
        texts = source.texts_of(labelled)
        sample = self._sample(picture, labelled.boxes)
        reads = self._reads(picture, sample, texts)
        judged = _judged(source.name, Shot(labelled.path), picture, sample)
        return replace(judged, texts=texts, reads=reads, is_open=source.is_open)

    def negatives(self, path: Path) -> Iterator[Judged]:
        """Looks for plates in a picture, a clip or a folder of them where there are none.

        Raises:
            PlateidError: Something cannot be read.
        """
        for shot, picture in _shots(path):
            yield _judged(path.name, shot, picture, self._sample(picture, ()))

    def _sample(self, picture: records.Picture, truths: tuple[records.Box, ...]) -> Sample:
        found = self._detector.detect(picture)
        return Sample(
            boxes=np.array([d.box for d in found], np.float32).reshape(-1, 4),
            scores=np.array([d.score for d in found], np.float32),
            truths=np.array(truths, np.float32).reshape(-1, 4),
        )

    def _reads(
        self, picture: records.Picture, sample: Sample, texts: Sequence[str]
    ) -> tuple[str, ...]:
        matches, reads = match(sample), [""] * len(sample.truths)
        sure = sample.scores[matches.boxes] >= self.spec.detector.threshold
        for box, truth in zip(matches.boxes[sure], matches.truths[sure], strict=True):
            if truth != NONE and texts[truth]:
                x1, y1, x2, y2 = (float(value) for value in sample.boxes[box])
                (read,) = self._reader.read(picture, [(x1, y1, x2, y2)])
                reads[truth] = read_once(read).plate
        return tuple(reads)


def _judged(source: str, shot: Shot, picture: records.Picture, sample: Sample) -> Judged:
    """As far as it needs no labels but the boxes."""
    return Judged(
        source=source,
        shot=shot,
        luma=float(picture.luma(*LUMA_SIZE).mean()),
        scale=Letterbox.fit((picture.width, picture.height), REFERENCE).scale,
        boxes=sample.boxes,
        scores=sample.scores,
        truths=sample.truths,
        texts=("",) * len(sample.truths),
        reads=("",) * len(sample.truths),
    )


def _shots(path: Path) -> Iterator[tuple[Shot, records.Picture]]:
    for file in find_sources(path):
        if is_picture(file):
            yield Shot(file), read_picture(file)
        else:
            for frame in read_clip(file):
                yield Shot(file, frame.sequence, frame.media_time_s or 0.0), frame.picture
