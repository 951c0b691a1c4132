"""Trains a reader without groups of plates, then measures it on each group and on the others.

Choices between recipes are made here, so that they are not fitted to the evaluation's images.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from plateid.core.text import fold
from train.reader.held_out_accuracy import Reader, read_text, torch_reader
from train.reader.plate_groups import in_groups
from train.reader.reader_run import ReaderRun, train_reader
from train.reader.reader_weights import SPEC, trained_reader
from train.reader.real_plates import RealPlate, read_plates, whole_crop
from train.synth.rendering import render_crop

RENDERED = 400
"""Rendered plates of each group, and of all others, that are read."""
SEED = 7001
"""Seed of these plates. No training uses it."""
LR = 1e-3
"""Peak learning rate of the training from random weights; a third of it from a base."""
REAL = 0.25
"""Share of real plates in the training, as in the recipes."""
IsWanted = Callable[[str, str, int], bool]
"""Tells by its origin, text and number of lines whether a plate is in a part."""


@dataclass(frozen=True)
class PartAccuracy:
    """Accuracy on plates of a group or on the others, read once in their true boxes."""

    name: str
    plates: int
    plate_accuracy: float
    plate_accuracy_folded: float


def leave_out(run: ReaderRun) -> list[PartAccuracy]:
    """Trains without `run.without`, or resumes, and returns the accuracy of each part with plates.

    `LR` and `REAL` replace the values of the run. Raises TrainError if the data, the store or a
    checkpoint cannot be used.
    """
    train_reader(replace(run, lr=LR / 3 if run.base else LR, real=REAL))
    trained, held_out = read_plates([Path(folder) for folder in run.data])

    def is_other(origin: str, text: str, lines: int) -> bool:
        return not in_groups(run.without, origin, text, lines)

    parts: dict[str, Iterable[RealPlate]] = {}
    for name in run.without:
        is_member = partial(in_groups, [name])
        parts[f"{name}, real"] = _real([*trained, *held_out], is_member)
        parts[f"{name}, rendered"] = _rendered(is_member)
    parts["others held out, real"] = _real(held_out, is_other)
    parts["others, rendered"] = _rendered(is_other)
    read = torch_reader(trained_reader(Path(run.out) / "last.pt"))
    return [each for name, part in parts.items() if (each := _accuracy(read, name, part)).plates]


def _real(plates: Iterable[RealPlate], is_wanted: IsWanted) -> list[RealPlate]:
    return [p for p in plates if p.text and is_wanted(p.source, p.text, p.lines)]


def _rendered(is_wanted: IsWanted) -> Iterator[RealPlate]:
    rng, count = np.random.default_rng(SEED), 0
    while count < RENDERED:
        crop = render_crop(rng)
        if crop.text and is_wanted(crop.region, crop.text, crop.lines):
            count += 1
            yield whole_crop(crop.image, crop.text, crop.region)


def _accuracy(read: Reader, name: str, plates: Iterable[RealPlate]) -> PartAccuracy:
    texts = [(plate.text, read_text(read, SPEC, plate)) for plate in plates]
    count = max(1, len(texts))
    exact = sum(text == answer for text, answer in texts)
    folded = sum(fold(text) == fold(answer) for text, answer in texts)
    return PartAccuracy(name, len(texts), exact / count, folded / count)
