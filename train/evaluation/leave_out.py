"""Trains a reader without groups of plates, then measures it on each group and on the others.

Choices between recipes are made here, so that they are not fitted to the evaluation's images.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import nn

from plateid.core.text import best_text, ctc_positions, fold
from plateid.models.onnx_reader import to_reader_input
from train.evaluation.plate_groups import GROUPS, LeaveOutRun
from train.machine import alone_in
from train.reader.batches import Mix, batches
from train.reader.platenet import PlateNet
from train.reader.reader_weights import SPEC, load_base
from train.reader.real_plates import RealPlate, framed, read_plates, whole_crop
from train.reader.training_loop import Training
from train.synth.crop_database import CropDatabase
from train.synth.rendering import LabelledCrop, render_crop

RENDERED = 400
"""Rendered plates of each group, and of all others, that are read."""
SEED = 7001
"""Seed of these plates. No training uses it."""
LR = 1e-3
"""Peak learning rate of the training from random weights; a third of it from a base."""
REAL = 0.25
"""Share of real plates in the training, as in the recipes."""


@dataclass(frozen=True)
class PartAccuracy:
    """Accuracy on plates of a group or on the others, read once in their true boxes."""

    name: str
    plates: int
    plate_accuracy: float
    plate_accuracy_folded: float


def leave_out(run: LeaveOutRun) -> list[PartAccuracy]:
    """Trains for `minutes`, or resumes, and returns the accuracy of each part that has plates.

    Raises TrainError if the data, the store or a checkpoint cannot be used.
    """

    def is_in(group: str, plate: RealPlate) -> bool:
        return GROUPS[group](plate.source, plate.text, plate.lines)

    def is_other(plate: RealPlate) -> bool:
        return not any(is_in(name, plate) for name in run.groups)

    trained, held_out = read_plates(run.folders)
    network = PlateNet()
    if run.base:
        load_base(network, run.base)
    mix = Mix(
        [*filter(is_other, trained)],
        CropDatabase(run.store) if run.store else None,
        real=REAL,
        size=64,
        accepts=lambda crop: is_other(_plate_of(crop)),
    )
    with alone_in(run.out):
        lr = LR / 3 if run.base else LR
        training = Training(network, run.out / "last.pt", minutes=run.minutes, lr=lr)
        training.fit(batches(mix, SPEC, seed=(training.progress.step,)), lambda _: {})
        load_base(network, run.out / "last.pt")
    network.eval()
    parts: dict[str, Iterable[RealPlate]] = {}
    for name in run.groups:
        every = (*trained, *held_out)
        parts[f"{name}, real"] = [plate for plate in every if plate.text and is_in(name, plate)]
        parts[f"{name}, rendered"] = _rendered(partial(is_in, name))
    parts["others held out, real"] = [p for p in held_out if p.text and is_other(p)]
    parts["others, rendered"] = _rendered(is_other)
    return [each for name, part in parts.items() if (each := _accuracy(network, name, part)).plates]


def _plate_of(crop: LabelledCrop) -> RealPlate:
    plate = whole_crop(crop.image, crop.text, crop.region)
    return replace(plate, lines=1 + max(crop.rows, default=0))


def _rendered(wanted: Callable[[RealPlate], bool]) -> Iterator[RealPlate]:
    rng, count = np.random.default_rng(SEED), 0
    while count < RENDERED:
        plate = _plate_of(render_crop(rng))
        if plate.text and wanted(plate):
            count += 1
            yield plate


def _accuracy(network: nn.Module, name: str, plates: Iterable[RealPlate]) -> PartAccuracy:
    exact, folded = [], []
    for plate in plates:
        crop = to_reader_input(framed(plate, margin_x=SPEC.margin_x, margin_y=SPEC.margin_y), SPEC)
        with torch.inference_mode():
            logits, _ = network(torch.from_numpy(crop[None]))
        read = best_text(ctc_positions(logits[0].softmax(dim=1).numpy()))
        exact.append(read == plate.text)
        folded.append(fold(read) == fold(plate.text))
    count = max(1, len(exact))
    return PartAccuracy(name, len(exact), sum(exact) / count, sum(folded) / count)
