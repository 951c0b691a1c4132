"""Trains a reader without groups of plates, then measures it on each group and on the others.

Choices between recipes are made here, so that they are not fitted to the evaluation's images.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from plateid.core.text import best_text, ctc_positions
from plateid.models.onnx_reader import to_reader_input
from train.evaluation.plate_groups import GROUPS, LeaveOutRun, PlateGroup
from train.folding import fold
from train.machine import alone_in
from train.reader.batches import Mix, batches
from train.reader.platenet import PlateNet
from train.reader.reader_weights import SPEC, load_base
from train.reader.real_plates import RealPlate, framed, read_plates
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
    """Trains for `minutes`, or resumes, and returns the accuracy of each part.

    Raises TrainError if the data, the store or a checkpoint cannot be used.
    """
    holds = {name: partial(_holds, GROUPS[name]) for name in run.groups}

    def is_left_out(plate: RealPlate | LabelledCrop) -> bool:
        return any(holds_plate(plate) for holds_plate in holds.values())

    trained, held_out = read_plates(run.folders)
    kept = [plate for plate in trained if not is_left_out(plate)]
    network = PlateNet()
    if run.base:
        load_base(network, run.base)
    mix = Mix(
        kept,
        CropDatabase(run.store) if run.store else None,
        real=REAL,
        size=64,
        accepts=lambda crop: not is_left_out(crop),
    )
    with alone_in(run.out):
        lr = LR / 3 if run.base else LR
        training = Training(network, run.out / "last.pt", minutes=run.minutes, lr=lr)
        training.fit(batches(mix, SPEC, seed=(training.progress.step,)), lambda _: {})
        load_base(network, run.out / "last.pt")
    real = [plate for plate in (*trained, *held_out) if plate.text]
    parts: dict[str, Iterable[RealPlate | LabelledCrop]] = {}
    for name, holds_plate in holds.items():
        parts[f"{name}, real"] = filter(holds_plate, real)
        parts[f"{name}, rendered"] = _rendered(holds_plate)
    others = [plate for plate in held_out if plate.text and not is_left_out(plate)]
    parts["others held out, real"] = others
    parts["others, rendered"] = _rendered(lambda crop: not is_left_out(crop))
    network.eval()
    return [each for name, part in parts.items() if (each := _accuracy(network, name, part))]


def _holds(group: PlateGroup, plate: RealPlate | LabelledCrop) -> bool:
    if isinstance(plate, RealPlate):
        return group.holds(plate.source, plate.text, plate.lines)
    return group.holds(plate.region, plate.text, 1 + max(plate.rows, default=0))


def _rendered(wanted: Callable[[LabelledCrop], bool]) -> Iterator[LabelledCrop]:
    rng, count = np.random.default_rng(SEED), 0
    while count < RENDERED:
        crop = render_crop(rng)
        if crop.text and wanted(crop):
            count += 1
            yield crop


def _accuracy(
    network: nn.Module, name: str, plates: Iterable[RealPlate | LabelledCrop]
) -> PartAccuracy | None:
    """Reads the plates one by one; returns None if there are none."""
    pairs = [(plate.text, _read(network, plate)) for plate in plates]
    if not pairs:
        return None
    exact = sum(text == read for text, read in pairs) / len(pairs)
    folded = sum(fold(text) == fold(read) for text, read in pairs) / len(pairs)
    return PartAccuracy(name, len(pairs), exact, folded)


def _read(network: nn.Module, plate: RealPlate | LabelledCrop) -> str:
    crop = framed(plate, margin_x=0, margin_y=0) if isinstance(plate, RealPlate) else plate.image
    with torch.inference_mode():
        logits, _ = network(torch.from_numpy(to_reader_input(crop, SPEC)[None]))
    return best_text(ctc_positions(logits[0].softmax(dim=1).numpy()))
