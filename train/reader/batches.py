"""Batches of crops for training a reader: real ones, rendered ones, and such that show no plate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from plateid.core.text import CHARSET, NO_CHARACTER
from plateid.models.bundle import ReaderSpec
from plateid.models.reader import fitted
from train.reader.crops import Plate, augmented, background, by_source
from train.reader.network import COLUMNS, ROWS
from train.synth.crop_database import CropDatabase
from train.synth.rendering import LabelledCrop, render_crop

BACKGROUND = 0.1
"""Share of the real crops that show a place beside the plate."""
UNKNOWN = -100
"""A class that no loss looks at."""
SHIFT, ZOOM = 0.035, 0.07
"""Standard deviation of the changes of a crop's frame, in parts of its size."""
INSIDE = 0.03
"""So far from the border, in parts of the crop, the middle of each character stays: about what
`train.synth.viewpoint.CUT` leaves of it."""
TILTED, SLOPE = 0.25, 0.3
"""Share of the crops that are tilted further, and the deviation of how far: in a box of 4 to 1, 0.3
are 4 degrees. As a detector's box does, the frame grows with it."""
GREY = 0.1
"""Share of the crops without colour, as by infra-red."""
NEGATIVE = 0.06
"""Share of the crops with light and dark exchanged: few plates have light letters, and few of the
real ones to learn from."""
UNEVEN, PATCHES = 0.15, (3, 8)
"""Share of the crops that are lit unevenly, and how many patches they have, down and across."""
GLARE, GLARES, SHADOW = 0.6, (15, 80), 0.4
"""Share of them with glare, the others lie in broken shadow. A patch of strength 1 (they have 0 to
2, mostly little) is so many grey levels brighter, or darker by exp(-SHADOW)."""
FADED, FAINTEST = 0.2, 0.3
"""Share of the crops that have lost contrast, and what is left of it at least."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Crops and what they say.

    Attributes:
        inputs: Shape (N, C, H, W), 0 to 255.
        texts: One a crop; empty where nothing is to be read.
        steps: Class of each step where the middle of a rendered character is, else UNKNOWN; of
            PlateNet's steps, shape (N, ROWS * COLUMNS).
        regions: Index of the country, or UNKNOWN; shape (N,).
    """

    inputs: Tensor
    texts: list[str]
    steps: Tensor
    regions: Tensor


@dataclass(frozen=True)
class Mix:
    """Where the crops of a batch come from.

    Attributes:
        plates: Real ones; each source counts the same.
        store: Rendered ones; None: each is rendered when it is needed.
        real: Share of the real ones.
        size: Crops a batch.
        regions: Countries by their index; the first is any other.
    """

    plates: Sequence[Plate]
    store: CropDatabase | None
    real: float
    size: int
    regions: tuple[str, ...]


def batches(mix: Mix, spec: ReaderSpec, *, seed: Sequence[int]) -> Iterator[Batch]:
    """Endless batches."""
    rng = np.random.default_rng(seed)
    sources = by_source(mix.plates)
    count = round(mix.size * mix.real) if sources else 0
    while True:
        real = [_real(rng, sources[rng.integers(len(sources))]) for _ in range(count)]
        samples = [*real, *(_rendered(rng, mix.store) for _ in range(mix.size - count))]
        inputs = np.stack([fitted(sample.image, spec) for sample in samples])
        seen, frames = varied(torch.from_numpy(inputs), rng, [each.centres for each in samples])
        steps = [steps_of(*each) for each in zip(samples, frames, strict=True)]
        yield Batch(
            inputs=seen,
            texts=[sample.text for sample in samples],
            steps=torch.from_numpy(np.stack(steps)),
            regions=torch.tensor([_region(sample, mix.regions) for sample in samples]),
        )


def _real(rng: np.random.Generator, plates: Sequence[Plate]) -> LabelledCrop:
    plate = plates[rng.integers(len(plates))]
    return background(rng, plate) if rng.random() < BACKGROUND else augmented(rng, plate)


def _rendered(rng: np.random.Generator, store: CropDatabase | None) -> LabelledCrop:
    return render_crop(rng) if store is None else store[int(rng.integers(len(store)))]


def varied(
    inputs: Tensor, rng: np.random.Generator, centres: Sequence[NDArray[np.float32]] = ()
) -> tuple[Tensor, NDArray[np.float64]]:
    """Each crop framed and lit a little differently.

    Some are tilted, grey, faint, negatives, or have glare or shadows.

    Args:
        inputs: The crops, shape (N, C, H, W).
        rng: Chance.
        centres: Of the characters of each, shape (M, 2), in parts of the crop; a frame that would
            cut one off stays as it is.

    Returns:
        The crops, and their frames as torch's affine_grid takes them, shape (N, 2, 3).
    """
    count = len(inputs)
    zoom = 1 + ZOOM * rng.standard_normal((count, 2))
    slope = SLOPE * rng.standard_normal(count) * (rng.random(count) < TILTED)
    zoom[:, 1] *= 1 + abs(slope)
    frames = np.zeros((count, 2, 3))
    frames[:, (0, 1), (0, 1)] = zoom
    frames[:, 1, 0] = slope
    frames[:, :, 2] = 2 * SHIFT * rng.standard_normal((count, 2))
    for frame, places in zip(frames, centres, strict=False):
        if (np.abs(_framed(places, frame)) > 1 - 2 * INSIDE).any():
            frame[:] = np.eye(2, 3)
    grid = functional.affine_grid(
        torch.from_numpy(frames).float(), list(inputs.shape), align_corners=False
    )
    moved = functional.grid_sample(inputs, grid, padding_mode="border", align_corners=False)

    def some(share: float) -> Tensor:
        return torch.from_numpy(rng.random((count, 1, 1, 1)) < share)

    moved = torch.where(some(GREY), moved.mean(dim=1, keepdim=True), moved)
    moved = torch.where(some(NEGATIVE), 255 - moved, moved)
    moved = torch.where(some(UNEVEN), _unevenly_lit(moved, rng), moved)
    left = torch.from_numpy(rng.uniform(FAINTEST, 1, (count, 1, 1, 1))).float()
    mean = moved.mean(dim=(2, 3), keepdim=True)
    moved = torch.where(some(FADED), mean + left * (moved - mean), moved)
    gain = torch.from_numpy(np.exp(0.2 * rng.standard_normal((count, 1, 1, 1)))).float()
    lift = torch.from_numpy(10 * rng.standard_normal((count, 1, 1, 1))).float()
    return (moved * gain + lift).clamp(0, 255), frames


def _unevenly_lit(crops: Tensor, rng: np.random.Generator) -> Tensor:
    """Crops, shape (N, C, H, W), with glare or shadow in places; light ones may exceed 255."""
    count, _, height, width = crops.shape
    patches = torch.from_numpy(rng.gamma(0.5, 1.0, (count, 1, *PATCHES))).float()
    strength = functional.interpolate(patches, (height, width), mode="bicubic").clamp(0, 2)
    levels = torch.from_numpy(rng.uniform(*GLARES, (count, 1, 1, 1))).float()
    glare = torch.from_numpy(rng.random((count, 1, 1, 1)) < GLARE)
    return torch.where(glare, crops + levels * strength, crops * torch.exp(-SHADOW * strength))


def steps_of(sample: LabelledCrop, frame: NDArray[np.float64]) -> NDArray[np.int64]:
    """The class of each of PlateNet's steps that a character's middle is in, else UNKNOWN.

    Characters one above the other, as in the prefixes of American plates, get neighbouring steps.
    Between two that are alike is a blank, without which CTC takes them for one.

    Args:
        sample: The crop before it was varied.
        frame: What `varied` made of it, shape (2, 3).
    """
    steps = np.full((ROWS, COLUMNS), UNKNOWN)
    last = [-1] * ROWS
    if len(sample.centres):
        columns = np.floor((_framed(sample.centres, frame)[:, 0] + 1) / 2 * COLUMNS).astype(int)
        for character, middle, row in zip(sample.text, columns, sample.rows, strict=True):
            label, before = 1 + CHARSET.index(character), last[row]
            alike = before >= 0 and steps[row, before] == label
            column = max(before + 1 + alike, middle)
            if middle < 0 or column >= COLUMNS:
                continue  # no step is left
            last[row] = column
            steps[row, column] = label
            if alike:
                steps[row, (before + 1 + column) // 2] = NO_CHARACTER
    return steps.ravel()


def _framed(places: NDArray[np.float32], frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where places (M, 2) of a crop, 0 to 1, are in what was made of it, -1 to 1."""
    return np.linalg.solve(frame[:, :2], (2 * places - 1 - frame[:, 2]).T).T


def _region(sample: LabelledCrop, regions: tuple[str, ...]) -> int:
    return regions.index(sample.region) if sample.region in regions else UNKNOWN
