"""Runs a bundle's networks on labelled images, plate crops, and media without plates."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from plateid.capture.images import find_sources, is_image, read_image
from plateid.capture.video_file import read_video
from plateid.config.models import BUNDLE, ModelsConfig
from plateid.core.geometry import Letterbox
from plateid.core.records import Box, LazyImage
from plateid.models.networks import Networks
from plateid.models.onnx_detector import OnnxDetector
from plateid.models.tta import crop_variants
from train.dataset.labelled_image import LabelledImage
from train.evaluation.coco_metrics import NONE, match
from train.evaluation.image_results import REFERENCE, BoxReads, ImageResult, LabelledPlate, box_of

MIN_SCORE = 0.001
"""Detection threshold of an evaluation, as in ultralytics. mAP is the area under the whole curve,
so boxes with low scores count. The bundle's threshold is applied to the results."""
LUMA_SIZE = (64, 36)
"""Size to which an image is scaled before its mean brightness is measured, pixels."""


class Predictor:
    """The networks of a bundle, run as on the device. Its methods raise PlateidError."""

    def __init__(self, bundle: Path, reader: Path | None = None) -> None:
        """Loads the bundle, with a drop-in `reader` in place of its own if it is given."""
        networks = Networks(ModelsConfig(bundle=bundle, reader=str(reader or BUNDLE)))
        self.spec = networks.spec
        # A higher threshold only drops boxes after NMS, so it can be applied later.
        self._detector = networks.detector(threshold=MIN_SCORE)
        self._reader = networks.reader()

    def labelled(self, source: str, labelled: LabelledImage) -> ImageResult:
        """Detects the plates of a labelled image and reads those that have a text."""
        image = read_image(labelled.path)
        result = detected(self._detector, source, labelled.path, image, truths=labelled.boxes)
        found = {truth: box for box, truth in match(result.of_height()) if truth != NONE}
        plates = self._plates(image, source, labelled)
        for truth in plates.keys() & found.keys():
            reads = self._reads(image, box_of(result.boxes[found[truth]]))
            score = float(result.scores[found[truth]])
            plates[truth] = replace(plates[truth], found=reads, score=score)
        return replace(result, plates=tuple(plates.values()))

    def crop(self, source: str, labelled: LabelledImage) -> list[LabelledPlate]:
        """Reads a plate crop, if it has a text."""
        plates = self._plates(read_image(labelled.path), source, labelled)
        return [replace(plate, is_crop=True) for plate in plates.values()]

    def negatives(self, path: Path) -> Iterator[ImageResult]:
        """Detects boxes in an image, a video, or a folder of both, which show no plates."""
        for file in find_sources(path):
            if is_image(file):
                yield detected(self._detector, path.name, file, read_image(file))
            else:
                for frame in read_video(file):
                    yield detected(self._detector, path.name, file, frame.image)

    def _plates(
        self, image: LazyImage, source: str, labelled: LabelledImage
    ) -> dict[int, LabelledPlate]:
        """Reads the labelled plates that have a text, in their true boxes; by index of the box."""
        luma, row = _luma(image), labelled.labels.row
        moment = (row["video"], float(row["t"])) if row.get("video") else None
        pairs = enumerate(zip(labelled.boxes, labelled.labels.boxes, strict=True))
        return {
            index: LabelledPlate(
                source, labelled.path, labels, box, luma, moment, crop=self._reads(image, box)
            )
            for index, (box, labels) in pairs
            if labels.text
        }

    def _reads(self, image: LazyImage, box: Box) -> BoxReads:
        return tuple(self._reader.read(image, [box, *crop_variants(box)]))


def detected_in(detector: OnnxDetector, labelled: LabelledImage) -> ImageResult:
    """Detects the plates of a labelled image."""
    image, source = read_image(labelled.path), labelled.labels.folder.name
    return detected(detector, source, labelled.path, image, truths=labelled.boxes)


def detected(
    detector: OnnxDetector, source: str, path: Path, image: LazyImage, *, truths: Sequence[Box] = ()
) -> ImageResult:
    """Detects the plates of an image whose true boxes are given."""
    found = detector.detect(image)
    return ImageResult(
        source=source,
        path=path,
        luma=_luma(image),
        scale=Letterbox.fit((image.width, image.height), REFERENCE).scale,
        boxes=np.array([d.box for d in found], np.float32).reshape(-1, 4),
        scores=np.array([d.score for d in found], np.float32),
        truths=np.array(truths, np.float32).reshape(-1, 4),
    )


def _luma(image: LazyImage) -> float:
    return float(image.luma(*LUMA_SIZE).mean())
