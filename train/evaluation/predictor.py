"""Runs a bundle's networks over labelled pictures and over pictures and clips without plates."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from plateid.capture.images import find_sources, is_image, read_image
from plateid.capture.video_file import read_video
from plateid.config.models import ModelsConfig
from plateid.core.geometry import Letterbox, expanded
from plateid.core.records import Box, LazyImage
from plateid.models.networks import Networks
from plateid.models.tta import crop_variants
from train.dataset.labelled_image import LabelledImage
from train.evaluation.metrics import NONE, match
from train.evaluation.results import REFERENCE, Look, Result, Shot, Transcribed, box_of

FLOOR = 0.001
"""The detector's threshold here, as in ultralytics: mAP is the area under the whole curve, so boxes
count down to next to nothing. The bundle's threshold is applied to them afterwards. Graphs of new
bundles give 300 candidates; of what NMS leaves of them, metrics.MAX_BOXES count."""
LUMA_SIZE = (64, 36)


class Predictor:
    """The networks of a bundle, asked as the device asks them."""

    def __init__(self, bundle: Path, jitter: Sequence[tuple[float, float]] = ()) -> None:
        """Loads the bundle.

        Args:
            bundle: Its folder.
            jitter: Parts of a true box's width and height that are added at each side, to read it
                once more each.

        Raises:
            PlateidError: It cannot be used.
        """
        networks = Networks(ModelsConfig(bundle=bundle))
        self.spec = networks.spec
        # The device's threshold later drops boxes that NMS was done with: the rest is the same.
        self._detector = networks.detector(threshold=FLOOR)
        self._reader = networks.reader()
        self._jitter = jitter

    def labelled(self, source: str, labelled: LabelledImage) -> Result:
        """Finds the plates of a labelled picture and reads those that have a text.

        Raises:
            PlateidError: The picture cannot be read.
        """
        picture = read_image(labelled.path)
        result = replace(
            self._result(source, Shot(labelled.path), picture),
            truths=np.array(labelled.boxes, np.float32).reshape(-1, 4),
        )
        matches = match(result.sample())
        found = {
            truth: box
            for box, truth in zip(matches.boxes.tolist(), matches.truths.tolist(), strict=True)
            if truth != NONE
        }
        plates = (
            self._found(picture, result, plate, found.get(truth))
            for truth, plate in self._plates(picture, result.source, labelled).items()
        )
        return replace(result, plates=tuple(plates))

    def cut_out(self, source: str, labelled: LabelledImage) -> list[Transcribed]:
        """Reads a picture that is nothing but a plate, if that has a text.

        Raises:
            PlateidError: The picture cannot be read.
        """
        plates = self._plates(read_image(labelled.path), source, labelled)
        return [replace(plate, is_cut_out=True) for plate in plates.values()]

    def negatives(self, path: Path) -> Iterator[Result]:
        """Looks for plates in a picture, a clip or a folder of them where there are none.

        Raises:
            PlateidError: Something cannot be read.
        """
        for shot, picture in _shots(path):
            yield self._result(path.name, shot, picture)

    def _result(self, source: str, shot: Shot, picture: LazyImage) -> Result:
        found = self._detector.detect(picture)
        return Result(
            source=source,
            shot=shot,
            luma=_luma(picture),
            scale=Letterbox.fit((picture.width, picture.height), REFERENCE).scale,
            boxes=np.array([d.box for d in found], np.float32).reshape(-1, 4),
            scores=np.array([d.score for d in found], np.float32),
            truths=np.zeros((0, 4), np.float32),
        )

    def _plates(
        self, picture: LazyImage, source: str, labelled: LabelledImage
    ) -> dict[int, Transcribed]:
        """The plates that have a text, read in their true boxes, by their place among all."""
        plates, luma, moment = {}, _luma(picture), _moment(labelled.labels.row)
        pairs = zip(labelled.boxes, labelled.labels.boxes, strict=True)
        for place, (box, said) in enumerate(pairs):
            if said.text:
                jittered = (expanded(box, x=x, y=y) for x, y in self._jitter)
                crop, *others = (self._look(picture, each) for each in (box, *jittered))
                plates[place] = Transcribed(
                    source=source,
                    shot=Shot(labelled.path),
                    labels=said,
                    box=box,
                    luma=luma,
                    moment=moment,
                    crop=crop,
                    jittered=tuple(others),
                )
        return plates

    def _found(
        self, picture: LazyImage, result: Result, plate: Transcribed, box: int | None
    ) -> Transcribed:
        if box is None:
            return plate
        found = self._look(picture, box_of(result.boxes[box]))
        return replace(plate, found=found, score=float(result.scores[box]))

    def _look(self, picture: LazyImage, box: Box) -> Look:
        return tuple(self._reader.read(picture, [box, *crop_variants(box)]))


def _luma(picture: LazyImage) -> float:
    return float(picture.luma(*LUMA_SIZE).mean())


def _moment(row: Mapping[str, str]) -> tuple[str, float] | None:
    return (row["video"], float(row["t"])) if row.get("video") else None


def _shots(path: Path) -> Iterator[tuple[Shot, LazyImage]]:
    for file in find_sources(path):
        if is_image(file):
            yield Shot(file), read_image(file)
        else:
            for frame in read_video(file):
                yield Shot(file, frame.sequence, frame.media_time_s or 0.0), frame.image
