"""What a lesson trains on: your plates, rendered plates of their formats, and of all formats."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from train.learn.features import Features, features_of, steps_of
from train.learn.rehearsal import Rendered
from train.reader.batches import BACKGROUND
from train.reader.platenet import PlateNet
from train.reader.real_plates import RealPlate, augmented, background
from train.synth.rendering import LabelledCrop

AUGMENTED, PER_PLATE = 2000, 40
"""Augmented crops of your plates in all, and of one plate at most."""


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
    base: PlateNet, own: Sequence[RealPlate], kept: Sequence[RealPlate], rendered: Rendered
) -> Material:
    """Computes the features of augmented crops."""
    rng = np.random.default_rng(0)
    numbers = [i for i in range(len(own)) for _ in range(_copies(own))]
    others = [each for each in kept for _ in range(_copies(kept))]
    replay = features_of(base, rendered.replay, rng)
    return Material(
        own=features_of(base, _crops(rng, [own[i] for i in numbers]), rng),
        plates=numbers,
        kept=features_of(base, _crops(rng, others), rng),
        similar=features_of(base, rendered.similar, rng),
        replay=replay,
        taught=steps_of(base, replay),
    )


def _copies(plates: Sequence[RealPlate]) -> int:
    return max(1, min(PER_PLATE, AUGMENTED // max(1, len(plates))))


def _crops(rng: np.random.Generator, plates: Sequence[RealPlate]) -> Iterator[LabelledCrop]:
    for plate in plates:
        draw = background if rng.random() < BACKGROUND else augmented
        yield draw(rng, plate)
