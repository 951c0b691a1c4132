"""Divides plates for cross-validation. No vehicle is in two folds."""

import hashlib
from collections import Counter
from collections.abc import Sequence

FOLDS = 3
"""Number of folds. Each costs a training, and each network trains on two thirds of the plates."""


def vehicle_folds(vehicles: Sequence[str]) -> list[int]:
    """Returns the fold of each plate, given the name of its vehicle; folds have similar sizes."""
    counts, sizes = Counter(vehicles), [0] * FOLDS
    fold_of: dict[str, int] = {}
    for vehicle in sorted(counts, key=lambda name: (-counts[name], _digest(name))):
        fold_of[vehicle] = sizes.index(min(sizes))
        sizes[fold_of[vehicle]] += counts[vehicle]
    return [fold_of[vehicle] for vehicle in vehicles]


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
