"""Teaches the detector: trains it on folds of your images, and chooses and proves a candidate.

Rendered frames are trained on as well, with the boxes that the base finds in them (Li and Hoiem,
Learning without Forgetting, ECCV 2016). Training shifts the scores, so each network gets a
threshold of its own.
"""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, cycle, islice
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from plateid.config.models import ModelsConfig
from plateid.models.bundle import read_spec
from plateid.models.networks import Networks
from plateid.models.onnx_detector import OnnxDetector, to_detector_input
from plateid.models.session import NetworkSession
from train.dataset.grouping import Split
from train.dataset.labelled_image import LabelledImage
from train.dataset.yolo_layout import write_yolo
from train.detector.averaging import trained_detector
from train.detector.detector_run import DetectorRun
from train.detector.restore import restore_weights
from train.detector.training_session import train_network
from train.evaluation.coco_metrics import ImageBoxes, mean_average_precision, rank
from train.evaluation.detector_accuracy import LOWEST
from train.evaluation.image_results import ImageResult, box_of
from train.evaluation.predictor import detected_in
from train.export.best_candidates import BestCandidates
from train.export.onnx_networks import OnnxFormat, Precision, export_checked, export_detector
from train.export.torch_parity import demo_frame
from train.learn.candidates import SHARES, KeptSet, choose
from train.learn.features import Weights
from train.learn.fine_tuning import mean_of, on_line, save_weights
from train.learn.new_bundle import export_as_before
from train.learn.proof import prove_boxes
from train.learn.results import box_table
from train.learn.street_frames import street_frames
from train.learn.taught import Taught
from train.learn.vehicle_folds import held_out, train_folds, vehicle_folds
from train.progress import tracked
from train.reader.reader_weights import MODEL, read_checkpoint
from train.street.frames import READABLE_PX

FIT = "detector-fit"
"""Name of the folder of unfinished trainings. Each has one of its own, as it must not go on with
the network of another fold, which was trained on its held-out images."""
FROZEN, LR, EPOCHS, SIDE_PX, BATCH = 10, 5e-4, 6, 640, 16
"""First layers that are not trained (the backbone), peak learning rate, most epochs, side of the
images and images per step."""
PER_EPOCH = 128
"""Images of an epoch, if you have not more: half of them yours, each as often as needed."""
TRAINING_SHARE = 0.2
"""Share of the command's time that a training takes at most."""
KNOWN = 0.85
"""mAP50-95 from which there is little to learn. On real labels it is .4 to .75."""
OWN, RENDERED = "your plates", "rendered streets"
"""Names of the plates that must not be lost or forgotten."""
MAX_FALSE_BOXES = 0.02
"""False boxes per image that are acceptable, even if there were fewer before. The reader and the
fusion drop a false box that has no text, while a missed plate is lost."""
THRESHOLDS = tuple(round(float(value), 2) for value in np.arange(0.15, 0.905, 0.01))
"""Thresholds to choose from."""
Images = Sequence[LabelledImage]
Results = Sequence[ImageResult]
Named = dict[str, list[ImageBoxes]]


class DetectorLesson:
    """What is learnt: from a base, your images, images of --keep, and rendered ones."""

    def __init__(self, bundle: Path, own: Images, kept: Images, place: tuple[Path, float]) -> None:
        """`place` has the folder, and minutes. Raises TrainError if the detector is another."""
        self.spec, self.own = read_spec(bundle).detector, own
        self._folder, self._minutes = place
        frames = street_frames(self._folder, "replay")
        paths = [each.path for pair in zip(own, frames, strict=False) for each in pair]
        self._file = restore_weights(bundle, self._folder / "base.pt", paths)
        self.model = trained_detector(self._file)
        self.base = {name: each.clone() for name, each in self.model.state_dict().items()}
        self.folds = vehicle_folds([image.group for image in own])
        found = (r.boxes[r.scores >= self.spec.threshold] for r in self.found(self.base, frames))
        boxes = [tuple(map(box_of, each)) for each in found]
        self.replay = [replace(f, boxes=b) for f, b in zip(frames, boxes, strict=True)]
        self.to_keep = {RENDERED: street_frames(self._folder, "forgetting")}
        if any(image.boxes for image in kept):
            self.to_keep["--keep"] = [*kept]

    def held_out(self, networks: Sequence[Weights], share: float) -> list[ImageResult]:
        """Finds plates with the networks that did not train on them, at a place on their lines."""

        def found(weights: Weights, numbers: Sequence[int]) -> list[ImageResult]:
            return self.found(on_line(self.base, weights, share), [self.own[n] for n in numbers])

        return held_out(self.folds, networks, found)

    def found(self, weights: Weights, images: Images) -> list[ImageResult]:
        """Finds plates with scores of LOWEST or more, in float32."""
        self.model.load_state_dict(weights)
        size = {"width": self.spec.width, "height": self.spec.height}
        network, file = BestCandidates(self.model, **size), self._folder / "candidate.onnx"
        export_checked(network, to_detector_input(demo_frame(**size)), file)
        session = NetworkSession(str(file), file.read_bytes())
        detector = OnnxDetector(session, self.spec, threshold=LOWEST)
        return [detected_in(detector, image) for image in tracked(images, "Finding plates")]

    def train(self, title: str, numbers: Sequence[int]) -> Weights:
        """Trains on the images with these numbers, or resumes. What is done is not done again."""
        done, fit = self._folder / f"detector {title}.pt", self._folder / FIT / title
        if not done.is_file():
            own = [self.own[number] for number in numbers]
            count = max(PER_EPOCH // 2, len(own))
            images = [*islice(cycle(own), count), *islice(cycle(self.replay), count)]
            run = DetectorRun(
                (), str(self._file), str(fit), EPOCHS, SIDE_PX, BATCH, LR,
                validate=False, frozen=FROZEN, max_minutes=TRAINING_SHARE * self._minutes,
            )  # fmt: skip
            data = write_yolo(Split(images, own[:BATCH]), fit / "data")
            train_network(run, data, fit / "fit", steps=ceil(len(images) / BATCH))
            last = trained_detector(fit / "fit" / "weights" / "last.pt")
            save_weights(done, last.state_dict())
            shutil.rmtree(fit)
        weights: Weights = read_checkpoint(done)[MODEL]
        return weights


def finds_all(bundle: Path, images: Images) -> bool:
    """Returns whether a detector has little to learn: a device labels what its detector found."""
    detector = Networks(ModelsConfig(bundle=bundle)).detector(threshold=LOWEST)
    return _precision([detected_in(detector, image) for image in images]) >= KNOWN


def teach_detector(lesson: DetectorLesson) -> Taught:
    """Trains, and chooses a candidate that gains and forgets nothing.

    The proof is about held-out images: no network that finds plates in them was trained on them.
    """
    networks = train_folds(lesson.folds, lesson.train)
    last, before = mean_of(networks), lesson.found(lesson.base, lesson.own)
    after = {share: lesson.held_out(networks, share) for share in SHARES}
    known, current = _boxes_of_all(lesson, lesson.base, before), lesson.spec.threshold
    thresholds: dict[float, float] = {}

    def kept_at(share: float) -> tuple[KeptSet, ...]:
        """Chooses the threshold of a network on the line, and counts what it finds."""
        found = _boxes_of_all(lesson, on_line(lesson.base, last, share), after[share])
        every = ([*chain(*each.values())] for each in (known, found))
        thresholds[share] = choose_threshold(*every, current=current)
        return tuple(_kept(name, known, found, (current, thresholds[share])) for name in known)

    gains = {share: _precision(each) - _precision(before) for share, each in after.items()}
    chosen, candidates = choose(gains, kept_at)
    new, weights = after[chosen.share], on_line(lesson.base, last, chosen.share)
    pair, scenes = (current, thresholds[chosen.share]), [image.group for image in lesson.own]
    return Taught(
        network="detector",
        proof=prove_boxes(_boxes(OWN, before), _boxes(OWN, new), scenes, pair),
        chosen=chosen,
        candidates=candidates,
        table=box_table(before, new, pair),
        write=partial(_write, lesson=lesson, weights=weights, threshold=pair[1]),
    )


def choose_threshold(
    before: Sequence[ImageBoxes], after: Sequence[ImageBoxes], *, current: float
) -> float:
    """Returns the lowest threshold with as few false boxes as before at the current one."""
    allowed = max(rank(before).at(current).false_boxes, MAX_FALSE_BOXES * len(before))
    ranked = rank(after)
    fitting = (each for each in THRESHOLDS if ranked.at(each).false_boxes <= allowed)
    return next(fitting, THRESHOLDS[-1])


def _boxes_of_all(lesson: DetectorLesson, weights: Weights, own: Results) -> Named:
    """Finds plates in the images to keep; what is found in your images is known."""
    kept = {name: lesson.found(weights, images) for name, images in lesson.to_keep.items()}
    return {name: _boxes(name, each) for name, each in {OWN: own, **kept}.items()}


def _boxes(name: str, results: Results) -> list[ImageBoxes]:
    """Returns the boxes that count: rendered frames have no labels of smaller plates."""
    least_px = READABLE_PX if name == RENDERED else 0
    return [each.of_height((least_px * each.scale, np.inf)) for each in results]


def _kept(name: str, before: Named, after: Named, thresholds: tuple[float, float]) -> KeptSet:
    old, new = (rank(s[name]).at(t) for s, t in zip((before, after), thresholds, strict=True))
    return KeptSet(name, old.plates, old.recall or 0.0, new.recall or 0.0)


def _precision(results: Results) -> float:
    return mean_average_precision(_boxes(OWN, results)) or 0.0


def _write(
    folder: Path, lesson: DetectorLesson, weights: Weights, threshold: float
) -> tuple[dict[str, Any], str]:
    """Writes the detector of a bundle; raises TrainError if the network cannot be exported."""
    before = read_spec(folder).detector
    lesson.model.load_state_dict(weights)
    images = Split([*lesson.own, *lesson.replay], [*lesson.own, *lesson.to_keep[RENDERED]])

    def export(precision: Precision) -> None:
        form = OnnxFormat(before.width, before.height, precision)
        export_detector(lesson.model, folder / "detector.onnx", form, images)

    precision, refused = export_as_before(export, before.precision)
    return {"precision": precision, "threshold": threshold}, refused
