"""What the reader trains on: your plates, rendered plates of their formats, and of all formats."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from train.learn.features import Features, features_of, logs_of
from train.progress import timed
from train.reader.batches import BACKGROUND
from train.reader.platenet import PlateNet
from train.reader.real_plates import RealPlate, augmented, background
from train.synth.rendering import LabelledCrop

AUGMENTED, PER_PLATE = 1500, 40
"""Augmented crops of your plates in all, and of one plate at most. There are as many crops of
self-labelled plates at most, one of each."""
KINDS = 4
"""Kinds of crops, which share the time."""


@dataclass(frozen=True, eq=False)
class Material:
    """Features of the crops to train on."""

    own: Features
    plates: Sequence[int]  # the number of the plate of each of them
    kept: Features  # of --keep; may be empty
    similar: Features  # rendered, of your formats
    replay: Features  # rendered, of all formats
    taught: Tensor  # log-probabilities of the base for them, shape (N, steps, classes)


@dataclass(frozen=True, eq=False)
class Crops:
    """The crops before they are augmented."""

    own: Sequence[RealPlate]
    proving: Sequence[int]  # numbers of those that prove the gain; others are self-labelled
    kept: Sequence[RealPlate]
    similar: Sequence[LabelledCrop]
    replay: Sequence[LabelledCrop]


def prepare_material(base: PlateNet, crops: Crops, *, seconds: float) -> Material:
    """Computes the features of augmented crops, of fewer ones if the seconds do not suffice."""
    rng = np.random.default_rng(0)

    def features(kind: str, crops: Iterable[LabelledCrop], least: int = 1) -> Features:
        title = f"computing features of {kind} plates"
        return features_of(base, timed(crops, title, seconds / KINDS, least=least), rng)

    numbers = _numbers(rng, crops)
    own = features("your", _augmented(rng, [crops.own[i] for i in numbers]), len(crops.proving))
    replay = features("rendered", crops.replay)
    return Material(
        own=own,
        plates=numbers[: len(own.texts)],
        kept=features("kept", _augmented(rng, [*crops.kept] * _copies(crops.kept))),
        similar=features("similar", crops.similar),
        replay=replay,
        taught=logs_of(base, replay),
    )


def _numbers(rng: np.random.Generator, crops: Crops) -> list[int]:
    """Returns the number of the plate of each crop. Each plate that proves the gain is first."""
    proving, copies = [*crops.proving], _copies(crops.proving)
    others = rng.permutation([*{*range(len(crops.own))} - {*proving}])[: copies * len(proving)]
    rest = rng.permutation([*proving * (copies - 1), *others])
    return [*proving, *map(int, rest)]


def _copies(plates: Sequence[object]) -> int:
    return max(1, min(PER_PLATE, AUGMENTED // max(1, len(plates))))


def _augmented(rng: np.random.Generator, plates: Sequence[RealPlate]) -> Iterator[LabelledCrop]:
    for plate in plates:
        draw = background if rng.random() < BACKGROUND else augmented
        yield draw(rng, plate)
