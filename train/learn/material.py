"""What a lesson trains on: your plates, rendered plates of their formats, and of all formats."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from train.learn.features import Features, features_of, steps_of
from train.learn.gather import OwnPlates
from train.learn.rehearsal import Rendered
from train.progress import timed
from train.reader.batches import BACKGROUND
from train.reader.platenet import PlateNet
from train.reader.real_plates import RealPlate, augmented, background
from train.synth.rendering import LabelledCrop

AUGMENTED, PER_PLATE = 2000, 40
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


def prepare_material(
    base: PlateNet, own: OwnPlates, kept: Sequence[RealPlate], rendered: Rendered, *, seconds: float
) -> Material:
    """Computes the features of augmented crops, of fewer ones if the seconds do not suffice."""
    rng = np.random.default_rng(0)

    def features(kind: str, crops: Iterable[LabelledCrop], least: int = 1) -> Features:
        title = f"computing features of {kind} plates"
        return features_of(base, timed(crops, title, seconds / KINDS, least=least), rng)

    numbers = _numbers(rng, own)
    plates = [each.plate for each in (*own.proving, *own.others)]
    mine = features("your", _crops(rng, [plates[i] for i in numbers]), len(own.proving))
    replay = features("rendered", rendered.replay)
    return Material(
        own=mine,
        plates=numbers[: len(mine.texts)],
        kept=features("kept", _crops(rng, [*kept] * _copies(kept))),
        similar=features("similar", rendered.similar),
        replay=replay,
        taught=steps_of(base, replay),
    )


def _numbers(rng: np.random.Generator, own: OwnPlates) -> list[int]:
    """Returns the number of the plate of each crop. Each plate that proves the gain is first."""
    proving, copies = range(len(own.proving)), _copies(own.proving)
    others = len(proving) + rng.permutation(len(own.others))[: copies * len(proving)]
    return [*proving, *rng.permutation([*[*proving] * (copies - 1), *others]).tolist()]


def _copies(plates: Sequence[object]) -> int:
    return max(1, min(PER_PLATE, AUGMENTED // max(1, len(plates))))


def _crops(rng: np.random.Generator, plates: Sequence[RealPlate]) -> Iterator[LabelledCrop]:
    for plate in plates:
        draw = background if rng.random() < BACKGROUND else augmented
        yield draw(rng, plate)
