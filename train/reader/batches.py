"""Batches for training a reader: real crops, rendered crops, and crops without a plate."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plateid.core.text import BLANK, CHARSET
from plateid.models.bundle import ReaderSpec
from plateid.models.onnx_reader import to_reader_input
from train.reader.batch_augmentation import augmented_batch, reframed
from train.reader.platenet import COLUMNS, ROWS
from train.reader.real_plates import RealPlate, augmented, background, by_source
from train.reader.rectifier import rectifying_transform
from train.synth.crop_database import CropDatabase
from train.synth.rendering import LabelledCrop, render_crop

BACKGROUND = 0.1
"""Share of the real crops that show a place beside the plate."""
UNKNOWN = -100
"""Class of a CTC step whose character is unknown. The loss ignores it."""


@dataclass(frozen=True, eq=False)
class Batch:
    """N crops and their labels."""

    inputs: Tensor  # shape (N, C, H, W), 0 to 255
    texts: list[str]  # empty without a plate
    steps: Tensor
    """Class of each CTC step where the centre of a rendered character lies, else UNKNOWN; shape
    (N, ROWS * COLUMNS)."""
    transforms: Tensor
    """What the rectifier must return for each rendered plate, shape (N, 2, 3); nan if unknown."""


@dataclass(frozen=True)
class Mix:
    """Where the crops of a batch come from."""

    plates: Sequence[RealPlate]  # each source is drawn equally often
    store: CropDatabase | None  # None renders each crop when it is needed
    real: float  # share of real crops
    size: int
    accepts: Callable[[LabelledCrop], bool] = lambda _: True  # rendered crops to train on


def batches(mix: Mix, spec: ReaderSpec, *, seed: Sequence[int]) -> Iterator[Batch]:
    """Yields batches without end."""
    rng = np.random.default_rng(seed)
    sources = by_source(mix.plates)
    count = round(mix.size * mix.real) if sources else 0
    while True:
        real = [_real(rng, sources[int(rng.integers(len(sources)))]) for _ in range(count)]
        crops = [*real, *(_rendered(rng, mix) for _ in range(mix.size - count))]
        inputs = torch.from_numpy(np.stack([to_reader_input(crop.image, spec) for crop in crops]))
        inputs, frames = augmented_batch(inputs, rng, [crop.centres for crop in crops])
        steps = torch.from_numpy(np.stack([step_classes(crop) for crop in crops]))
        transforms = np.stack(
            [expected_transform(*each) for each in zip(crops, frames, strict=True)]
        )
        yield Batch(inputs, [crop.text for crop in crops], steps, torch.from_numpy(transforms))


def _real(rng: np.random.Generator, plates: Sequence[RealPlate]) -> LabelledCrop:
    plate = plates[int(rng.integers(len(plates)))]
    return background(rng, plate) if rng.random() < BACKGROUND else augmented(rng, plate)


def _rendered(rng: np.random.Generator, mix: Mix) -> LabelledCrop:
    while True:
        store = mix.store
        crop = render_crop(rng) if store is None else store[int(rng.integers(len(store)))]
        if mix.accepts(crop):
            return crop


def expected_transform(crop: LabelledCrop, frame: NDArray[np.float64]) -> NDArray[np.float32]:
    """Returns what the rectifier must return for the augmented crop, shape (2, 3); nan if unknown.

    `frame` is that of the augmented crop, from `augmented_batch`.
    """
    if not len(crop.corners):
        return np.full((2, 3), np.nan, np.float32)
    transform = rectifying_transform(crop.corners)
    transform[:, 2] -= frame[:, 2]
    return np.linalg.solve(frame[:, :2], transform).astype(np.float32)


def step_classes(crop: LabelledCrop) -> NDArray[np.int64]:
    """Returns the class of each CTC step that holds a character's centre, else UNKNOWN.

    Characters one above the other, as in the prefixes of American plates, get neighbouring steps.
    A blank goes between two equal characters, because CTC merges them without it. The network reads
    the rectified crop.
    """
    steps = np.full((ROWS, COLUMNS), UNKNOWN)
    last = [-1] * ROWS
    if len(crop.centres):
        across = reframed(crop.centres, rectifying_transform(crop.corners))[:, 0]
        columns = np.floor((across + 1) / 2 * COLUMNS).astype(int)
        for character, centre, row in zip(crop.text, columns, crop.rows, strict=True):
            label, before = 1 + CHARSET.index(character), last[row]
            is_repeated = before >= 0 and steps[row, before] == label
            column = max(before + 1 + is_repeated, centre)
            if centre < 0 or column >= COLUMNS:
                continue  # no step is left
            last[row] = column
            steps[row, column] = label
            if is_repeated:
                steps[row, (before + 1 + column) // 2] = BLANK
    return steps.ravel()
