"""Teaches the reader: trains it on folds of your plates, and chooses and proves a candidate."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor

from plateid.core.geometry import sharpness
from plateid.core.records import Image, PlateRead
from plateid.core.text import ctc_margins, ctc_positions
from plateid.models.bundle import read_spec
from train.dataset.grouping import Split
from train.evaluation.confidence_calibration import fit_temperature
from train.evaluation.image_results import LabelledPlate
from train.export.int8_reader import TwoSides
from train.export.onnx_networks import Precision, export_reader
from train.learn.candidates import SHARES, KeptSet, choose
from train.learn.features import Features, Weights, features_of, network_of, steps_of
from train.learn.fine_tuning import (
    CHECK_STEPS,
    LR,
    Course,
    Schedule,
    best_place,
    fine_tune,
    follow,
    mean_of,
    on_line,
    save_weights,
)
from train.learn.gather import OwnPlate, OwnPlates
from train.learn.label_checks import Suspect, suspects
from train.learn.material import Material, prepare_material
from train.learn.new_bundle import export_as_before
from train.learn.proof import prove
from train.learn.reads import Array, Reads, read, reads_of
from train.learn.rehearsal import Rehearsal, Rendered
from train.learn.results import flipped_plates, plate_table
from train.learn.taught import Taught
from train.learn.vehicle_folds import held_out, train_folds, vehicle_folds, with_others
from train.progress import tracked
from train.reader.contact_sheet import contact_sheet
from train.reader.platenet import PlateNet
from train.reader.reader_weights import MODEL, SPEC, read_checkpoint
from train.reader.real_plates import RealPlate, by_source, framed, plates_of, whole_crop
from train.synth.rendering import LabelledCrop
from train.train_error import TrainError

FEATURES, FOLD, LAST = 0.16, 0.09, 0.12
"""Shares of the command's time: features, the training of a fold, and the last one, at most."""
MIN_CALIBRATION = 40
"""Smallest number of held-out reads that a temperature is fitted to."""
TEMPERATURES = (0.5, 2.0)
"""Least and greatest temperature: few plates must not turn the confidences upside down."""
INT8_PLATES = 600
"""Rendered plates that INT8 is calibrated with, and as many that it is measured on."""


class ReaderLesson:
    """What is learnt: from a base, your plates, plates of --keep, and rendered ones."""

    def __init__(self, base: Weights, own: OwnPlates, keep: Split, rehearsal: Rehearsal) -> None:
        """Reads the plates of --keep."""
        self.base, self._rehearsal = base, rehearsal
        self.own, self._plates = own.proving, own
        self._network = network_of(base)
        self._kept, self._kept_held_out = (
            [plate for image in side for _, plate in plates_of(image)] for side in keep
        )
        self.folds = vehicle_folds([each.vehicle for each in self.own])

    @cached_property
    def sample(self) -> Features:
        """Your plates in their boxes."""
        return self._features(each.plate for each in self.own)

    @cached_property
    def before(self) -> Reads:
        """What the base reads in your plates."""
        return reads_of(steps_of(self._network, self.sample), self.sample.texts)

    @cached_property
    def rendered(self) -> Rendered:
        """The rendered plates to train with."""
        return self._rehearsal.to_train(self.sample.texts, self.before.two_lines)

    @cached_property
    def _material(self) -> Material:
        seconds = 60 * FEATURES * self._rehearsal.minutes
        return prepare_material(
            self._network, self._plates, self._kept, self.rendered, seconds=seconds
        )

    @cached_property
    def _courses(self) -> list[Course]:
        return train_folds(self.folds, self._train_fold)

    def train_folds(self) -> list[Weights]:
        """Trains a network for each fold, without its plates, all for the same number of steps."""
        place = best_place(self._courses)
        return [course.networks[place] for course in self._courses]

    def train_last(self, networks: Sequence[Weights], numbers: Sequence[int]) -> Weights:
        """Trains on these plates, from the mean of the folds' networks, for as many steps."""
        minutes, steps = LAST * self._rehearsal.minutes, best_place(self._courses) + 1
        schedule = Schedule("last training", minutes, LR / 2, CHECK_STEPS * steps)
        return self._train(mean_of(networks), schedule, numbers).networks[-1]

    def held_out(self, networks: Sequence[Weights], share: float) -> Reads:
        """Reads each plate with the network that did not train on it, at a place on its line."""

        def logs(weights: Weights, numbers: Sequence[int]) -> Tensor:
            network = network_of(on_line(self.base, weights, share))
            return steps_of(network, self.sample.part(numbers))

        return reads_of(torch.stack(held_out(self.folds, networks, logs)), self.sample.texts)

    def to_keep(self) -> dict[str, Features]:
        """Returns plates that must not be forgotten, by name."""
        kept = {
            group[0].source: self._features(group)
            for group in by_source(plate for plate in self._kept_held_out if plate.text)
        }
        crops = tracked(self._rehearsal.forgetting(), "Computing features")
        rendered = features_of(self._network, crops)
        return {"rendered plates": rendered, **kept}

    def _features(self, plates: Iterable[RealPlate]) -> Features:
        crops = [LabelledCrop(_crop(each), each.text) for each in plates]
        return features_of(self._network, tracked(crops, "Computing features"))

    def _train_fold(self, title: str, numbers: Sequence[int]) -> Course:
        tested = self.sample.part([n for n in range(len(self.own)) if n not in numbers])

        def score(network: Weights) -> float:
            return float(read(network, tested).label_logs.mean())

        schedule = Schedule(title, FOLD * self._rehearsal.minutes)
        return self._train(self.base, schedule, numbers, score)

    def _train(
        self,
        start: Weights,
        schedule: Schedule,
        numbers: Sequence[int],
        score: Callable[[Weights], float] | None = None,
    ) -> Course:
        """Trains on the plates with these numbers. What is done is not done again."""
        checkpoint = self._rehearsal.folder / f"{schedule.title}.pt"
        if not checkpoint.is_file():
            plates = with_others(numbers, self._plates)
            course = follow(fine_tune(start, self._material, plates, schedule), score)
            save_weights(checkpoint, course.networks, scores=course.scores)
        saved = read_checkpoint(checkpoint)
        return Course(saved[MODEL], saved["scores"])


def teach_reader(lesson: ReaderLesson, *, trust: bool) -> Taught:
    """Trains, leaves out suspicious labels, and chooses a candidate that gains and forgets nothing.

    The proof is about held-out plates: no network that reads them was trained on them.
    """
    networks = lesson.train_folds()
    doubts = suspects(lesson.own, lesson.before, lesson.held_out(networks, 1))
    left_out = () if trust else tuple(each.number for each in doubts)
    counted = [number for number in range(len(lesson.own)) if number not in left_out]
    last = lesson.train_last(networks, counted)
    before = lesson.before.part(counted)
    after = {share: lesson.held_out(networks, share).part(counted) for share in SHARES}
    gains = {share: float((r.label_logs - before.label_logs).mean()) for share, r in after.items()}
    kept = lesson.to_keep()
    known = {name: _accuracy(lesson.base, sample) for name, sample in kept.items()}

    def kept_at(share: float) -> tuple[KeptSet, ...]:
        weights = on_line(lesson.base, last, share)
        shares = {name: (known[name], _accuracy(weights, each)) for name, each in kept.items()}
        return tuple(KeptSet(name, len(kept[name].texts), *each) for name, each in shares.items())

    chosen, candidates = choose(gains, kept_at)
    own = [lesson.own[number] for number in counted]
    old, new = (_as_device(own, reads) for reads in (before, after[chosen.share]))
    weights = on_line(lesson.base, last, chosen.share)
    return Taught(
        network="reader",
        proof=prove(before, after[chosen.share], [each.vehicle for each in own]),
        chosen=chosen,
        candidates=candidates,
        doubts=doubts,
        left_out=len(left_out),
        sheet=_sheet(lesson.own, doubts),
        table=plate_table(old, new),
        flipped=flipped_plates(old, new),
        write=partial(_write, lesson=lesson, weights=weights, reads=new),
    )


def _crop(plate: RealPlate) -> Image:
    return framed(plate, margin_x=SPEC.margin_x, margin_y=SPEC.margin_y)


def _accuracy(weights: Weights, features: Features) -> float:
    return float(read(weights, features).folded.mean())


def _sheet(own: Sequence[OwnPlate], doubts: Sequence[Suspect]) -> bytes:
    """Draws the suspicious labels, worst first, and what is read instead, as a PNG."""
    pairs = [(own[each.number].plate, each.read) for each in doubts]
    crops = [LabelledCrop(plate.image, f"{plate.text} > {read}") for plate, read in pairs]
    return cv2.imencode(".png", contact_sheet(crops))[1].tobytes() if crops else b""


def _as_device(plates: Sequence[OwnPlate], reads: Reads) -> list[LabelledPlate]:
    """Returns the plates with what the device reads in them."""
    return [_labelled(*each) for each in zip(plates, reads.logs.exp().numpy(), strict=True)]


def _labelled(own: OwnPlate, steps: Array) -> LabelledPlate:
    crop = _crop(own.plate)
    height = own.plate.box[3] - own.plate.box[1]
    read = PlateRead(ctc_positions(steps), sharpness(crop), height, ctc_margins(steps))
    luma = float(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY).mean())
    source, box = own.plate.source, own.plate.box
    return LabelledPlate(source, own.path, own.labels, box, luma, None, (read,), (read,), 1.0)


def _write(
    folder: Path, lesson: ReaderLesson, weights: Weights, reads: Sequence[LabelledPlate]
) -> tuple[dict[str, Any], str]:
    """Writes the reader of a bundle; raises TrainError if the network cannot be exported."""
    before, network = read_spec(folder).reader, PlateNet()
    network.load_state_dict(weights)

    def export(precision: Precision) -> None:
        plates = _int8_plates(lesson) if precision == "int8" else ((), ())
        export_reader(network, folder / "reader.onnx", precision=precision, plates=plates)

    precision, refused = export_as_before(export, before.precision)
    changed: dict[str, Any] = SPEC.model_dump(exclude={"file", "sha256", "name", "origin"})
    temperature = _temperature(reads, before.temperature)
    return changed | {"precision": precision, "temperature": temperature}, refused


def _int8_plates(lesson: ReaderLesson) -> TwoSides:
    """Returns plates to calibrate with, half of them yours, and others to measure the loss on."""
    own = [each.plate for each in lesson.own]
    crops = (crop for crop in lesson.rendered.replay if crop.text)
    rendered = [whole_crop(crop.image, crop.text, "rendered") for crop in crops][: 2 * INT8_PLATES]
    calibration = [replace(plate, source="own") for plate in own] + rendered[:INT8_PLATES]
    return calibration, [*own, *rendered[INT8_PLATES:]]


def _temperature(reads: Sequence[LabelledPlate], current: float) -> float:
    """Fits the temperature to held-out reads; keeps the current one if they are too few."""
    if len(reads) >= MIN_CALIBRATION:
        with suppress(TrainError):  # all are correct, or all are wrong
            least, greatest = TEMPERATURES
            return min(max(fit_temperature(reads, current=current).value, least), greatest)
    return current
