"""Cross-validation: divides plates or images, no vehicle in two folds, and trains without each."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from train.learn.features import Weights
from train.learn.gather import OwnPlates

FOLDS = 3
"""Number of folds. Each costs a training, and each network trains on two thirds of the plates."""
Folds = Sequence[Sequence[int]]
"""Numbers of the plates or images of each fold."""
Answer = TypeVar("Answer")


def vehicle_folds(vehicles: Sequence[str]) -> list[list[int]]:
    """Returns the numbers of each fold's plates, given their vehicles; sizes are similar."""
    counts, sizes = Counter(vehicles), [0] * FOLDS
    fold_of: dict[str, int] = {}
    for vehicle in sorted(counts, key=lambda name: (-counts[name], _digest(name))):
        fold_of[vehicle] = sizes.index(min(sizes))
        sizes[fold_of[vehicle]] += counts[vehicle]
    return [[i for i, each in enumerate(vehicles) if fold_of[each] == k] for k in range(FOLDS)]


def train_folds(folds: Folds, train: Callable[[str, Sequence[int]], Answer]) -> list[Answer]:
    """Trains a network for each fold, without its plates. `train` takes a title and numbers."""
    every = range(sum(map(len, folds)))
    return [
        train(f"fold {number} of {FOLDS}", [each for each in every if each not in left_out])
        for number, left_out in enumerate(folds, 1)
    ]


def with_others(numbers: Sequence[int], own: OwnPlates) -> list[int]:
    """Adds the plates that prove nothing, without the vehicles of plates that are left out."""
    every, trained = enumerate(own.proving), set(numbers)
    left_out = {plate.vehicle for number, plate in every if number not in trained}
    others = enumerate(own.others, len(own.proving))
    return [*numbers, *(number for number, plate in others if plate.vehicle not in left_out)]


def held_out(
    folds: Folds,
    networks: Sequence[Weights],
    answers: Callable[[Weights, Sequence[int]], Iterable[Answer]],
) -> list[Answer]:
    """Returns what the network that did not train on a plate gives for it, for each plate."""
    given: dict[int, Answer] = {}
    for network, numbers in zip(networks, folds, strict=True):
        given |= zip(numbers, answers(network, numbers), strict=True)
    return [given[number] for number in sorted(given)]


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
