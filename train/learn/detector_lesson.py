"""What the detector learns: your images, and rendered streets.

Rendered frames are trained on with the boxes that the base finds in them (Li and Hoiem, Learning
without Forgetting, ECCV 2016). Training shifts the scores, so each network gets a threshold of its
own.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain, cycle, islice
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from plateid.capture.images import read_image
from plateid.core.geometry import iou
from plateid.models.bundle import Bundle, DetectorSpec
from plateid.models.onnx_detector import OnnxDetector, to_detector_input
from plateid.models.session import NetworkSession
from train.dataset.grouping import Split
from train.dataset.labelled_image import LabelledImage
from train.dataset.yolo_layout import write_yolo
from train.detector.averaging import trained_detector
from train.detector.plate_trainer import DetectorRun
from train.detector.restore import restore_weights
from train.detector.training_session import train_network
from train.evaluation.coco_metrics import ImageBoxes, mean_average_precision, rank
from train.evaluation.detector_accuracy import LOWEST, grouped_detector_accuracy
from train.evaluation.image_results import ImageResult, box_of
from train.evaluation.predictor import detected_in
from train.export.best_candidates import BestCandidates
from train.export.onnx_networks import OnnxFormat, Precision, export_checked, export_detector
from train.export.torch_parity import demo_frame
from train.learn.fine_tuning import trained_once
from train.learn.inputs import Weights
from train.learn.label_checks import Suspect, worst_first
from train.learn.proof import (
    Draws,
    Scores,
    compared,
    mean_precisions,
    means_of,
    resamples,
    shares_of,
)
from train.learn.rehearsal import Rehearsal
from train.learn.teaching import KeptSet, Results
from train.manifest.weight_origin import Network
from train.progress import tracked
from train.street.frames import READABLE_PX

FIT = "detector-fit"
"""Name of the folder of unfinished trainings. Each has one of its own, as it must not go on with
the network of another fold, which was trained on its held-out images."""
FROZEN, LR, EPOCHS, SIDE_PX, BATCH = 10, 5e-4, 18, 640, 16
"""First layers that are not trained (the backbone), peak learning rate, most epochs, side of the
images and images per step. A third of the epochs gained 8 instead of 19 points (see the training
log)."""
PER_EPOCH = 128
"""Images of an epoch, if you have not more: half of them yours, each as often as needed."""
TRAINING_SHARE = 0.13
"""Share of the command's time that one of six trainings takes at most, as for the reader."""
KNOWN = 0.85
"""mAP50-95 from which there is little to learn. On real labels it is .4 to .75."""
MEASURES = {"recall": "recall", "false boxes": "false_boxes", "mAP50-95": "mAP50_95"}
"""Headings and attributes of the measures in the report."""
OWN, RENDERED = "your plates", "rendered streets"
"""Names of the plates that must not be lost or forgotten."""
MAX_FALSE_BOXES = 0.1
"""False boxes per image that are acceptable, even if there were fewer before. Each costs a read;
reader and fusion drop a false box without text, while a missed plate is lost."""
SURE, APART = 0.8, 0.1
"""Score of a box that shows a plate even if it has no label, and the IoU up to which two boxes show
different things."""
THRESHOLDS = tuple(round(float(value), 2) for value in np.arange(0.15, 0.905, 0.01))
"""Thresholds to choose from."""
Images = Sequence[LabelledImage]
Found = Sequence[ImageResult]


class DetectorLesson:
    """The lesson of a detector. An answer is what is found in an image."""

    network: Network = "detector"
    draws, enough = 200, 0.95  # mAP takes long

    def __init__(self, bundle: Path, own: Images, kept: Images, rehearsal: Rehearsal) -> None:
        """Raises TrainError if the detector of the bundle is another network."""
        self._bundle, self._own, self._rehearsal = Bundle(bundle), own, rehearsal
        self._spec = self._bundle.spec.detector
        self.precision = self._spec.precision
        self.groups: Sequence[str] = [image.group for image in own]
        self.proving: Sequence[int] = range(len(own))
        frames = rehearsal.frames("replay")
        paths = [each.path for pair in zip(own, frames, strict=False) for each in pair]
        self._file = restore_weights(bundle, rehearsal.folder / "base.pt", paths)
        self._model = trained_detector(self._file)
        self.base = {name: each.clone() for name, each in self._model.state_dict().items()}
        found = (r.boxes[r.scores >= self._spec.threshold] for r in self._found(self.base, frames))
        boxes = [tuple(map(box_of, each)) for each in found]
        self._replay = [replace(f, boxes=b) for f, b in zip(frames, boxes, strict=True)]
        self._to_keep: dict[str, Images] = {RENDERED: rehearsal.frames("forgetting")}
        if any(image.boxes for image in kept):
            self._to_keep["--keep"] = kept

    def train(self, title: str, numbers: Sequence[int]) -> Weights:
        """Trains on these images, or resumes. What is done is not done again."""
        own = [self._own[number] for number in numbers]
        count, fit = max(PER_EPOCH // 2, len(own)), self._rehearsal.folder / FIT / title
        spread = self._replay[:: max(1, len(self._replay) // count)]  # of all streets
        images = [*islice(cycle(own), count), *islice(cycle(spread), count)]
        run = DetectorRun(
            (), str(self._file), str(fit), EPOCHS, SIDE_PX, BATCH, LR, validate=False,
            frozen=FROZEN, replaced=0.0, max_minutes=TRAINING_SHARE * self._rehearsal.minutes,
        )  # fmt: skip

        def train() -> Weights:
            data = write_yolo(Split(images, own[:BATCH]), fit / "data")
            train_network(run, data, fit / "fit", steps=ceil(len(images) / BATCH))
            last: Weights = trained_detector(fit / "fit" / "weights" / "last.pt").state_dict()
            shutil.rmtree(fit)
            return last

        return trained_once(self._rehearsal.folder / f"detector {title}.pt", train)

    def answers(self, weights: Weights, numbers: Sequence[int]) -> list[ImageResult]:
        """Finds plates in images."""
        return self._found(weights, [self._own[number] for number in numbers])

    def scores(self, answers: Found, weights: Draws, /) -> Scores:
        """Returns mAP50-95."""
        return mean_precisions(_boxes(OWN, answers), weights)

    def suspects(self, before: Found, after: Found, /) -> list[Suspect]:
        """Returns the boxes that no network finds, and confident ones without a label."""
        pairs = enumerate(zip(before, after, strict=True))
        return worst_first([each for n, pair in pairs for each in _doubts(n, *pair)], len(after))

    def export(self, weights: Weights, file: Path, precision: Precision) -> None:
        """Exports a network."""
        self._model.load_state_dict(weights)
        form = OnnxFormat(self._spec.width, self._spec.height, precision)
        images = Split([*self._own, *self._replay], [*self._own, *self._to_keep[RENDERED]])
        export_detector(self._model, file, form, images)

    def kept(
        self, file: Path, before: Found, after: Found, /
    ) -> tuple[dict[str, Any], list[KeptSet]]:
        """Chooses the threshold of a network, and counts what it finds."""
        known = {OWN: _boxes(OWN, before), **self._known}
        found = {OWN: _boxes(OWN, after), **self._boxes_to_keep(file.read_bytes())}
        every = ([*chain(*each.values())] for each in (known, found))
        threshold = choose_threshold(*every, current=self._spec.threshold)
        sets = []
        for name, boxes in known.items():
            old, new = rank(boxes).at(self._spec.threshold), rank(found[name]).at(threshold)
            sets.append(KeptSet(name, old.plates, old.recall or 0.0, new.recall or 0.0))
        return {"threshold": threshold}, sets

    def results(
        self, numbers: Sequence[int], sides: Sequence[Found], section: dict[str, Any], /
    ) -> Results:
        """Compares what is found in images, by height and light."""
        thresholds = self._spec.threshold, section["threshold"]
        groups = [*map(grouped_detector_accuracy, sides, thresholds)]
        scenes = [self.groups[number] for number in numbers]
        weights = resamples(scenes, self.draws)
        precisions = np.array([self.scores(side, weights) for side in sides])
        recalls = [each["all"][0].recall or 0.0 for each in groups]
        recall = shares_of(recalls, len({*scenes}))
        table = compared("images", groups, ("all", "height", "light"), MEASURES)
        measures = {"mAP50-95": means_of(precisions), "recall": recall}
        return Results("images", measures, table, {})

    @cached_property
    def _known(self) -> dict[str, list[ImageBoxes]]:
        return self._boxes_to_keep(self._bundle.detector)

    def _boxes_to_keep(self, model: bytes) -> dict[str, list[ImageBoxes]]:
        """Returns what the detector of a file finds in images that must not be forgotten."""
        return {
            name: _boxes(name, _found_by(model, self._spec, images))
            for name, images in self._to_keep.items()
        }

    def _found(self, weights: Weights, images: Images) -> list[ImageResult]:
        """Finds plates in float32."""
        self._model.load_state_dict(weights)
        size = {"width": self._spec.width, "height": self._spec.height}
        network, file = BestCandidates(self._model, **size), self._rehearsal.folder / "new.onnx"
        export_checked(network, to_detector_input(demo_frame(**size)), file)
        return _found_by(file.read_bytes(), self._spec, images)


def _found_by(model: bytes, spec: DetectorSpec, images: Images) -> list[ImageResult]:
    """Finds plates with scores of LOWEST or more."""
    detector = OnnxDetector(NetworkSession("detector", model), spec, threshold=LOWEST)
    return [detected_in(detector, image) for image in tracked(images, "Finding plates")]


def finds_all(bundle: Path, images: Images) -> bool:
    """Returns whether a detector has little to learn: a device labels what its detector found."""
    base = Bundle(bundle)
    found = _boxes(OWN, _found_by(base.detector, base.spec.detector, images))
    return (mean_average_precision(found) or 0.0) >= KNOWN


def _doubts(number: int, old: ImageResult, new: ImageResult) -> Iterator[Suspect]:
    image, every = read_image(new.path), np.vstack([old.boxes, new.boxes])
    lonely = iou(new.boxes, new.truths).max(axis=1, initial=0) < APART
    missing = lonely & (new.scores >= SURE)
    for box, score in zip(new.boxes[missing], new.scores[missing], strict=True):
        yield Suspect(
            number, image.crop(box_of(box)), "no box", "plate", float(score), "missing box"
        )
    for box in new.truths[iou(new.truths, every).max(axis=1, initial=0) < APART]:
        yield Suspect(number, image.crop(box_of(box)), "plate", "nothing", 1.0, "wrong box")


def choose_threshold(
    before: Sequence[ImageBoxes], after: Sequence[ImageBoxes], *, current: float
) -> float:
    """Returns the lowest threshold with as few false boxes as before at the current one."""
    allowed = max(rank(before).at(current).false_boxes, MAX_FALSE_BOXES * len(before))
    ranked = rank(after)
    fitting = (each for each in THRESHOLDS if ranked.at(each).false_boxes <= allowed)
    return next(fitting, THRESHOLDS[-1])


def _boxes(name: str, found: Found) -> list[ImageBoxes]:
    """Returns the boxes that count: rendered frames have no labels of smaller plates."""
    least_px = READABLE_PX if name == RENDERED else 0
    return [each.of_height((least_px * each.scale, np.inf)) for each in found]
