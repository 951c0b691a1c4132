"""Augments a batch of crops: framing, slant, light, contrast and colour."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

SHIFT, ZOOM = 0.035, 0.07
"""Standard deviations of a crop's shift and zoom, relative to its size."""
EDGE = 0.03
"""Minimum distance of a character's centre from the border, relative to the crop. It is about what
`train.synth.viewpoint.CUT` leaves of a character."""
SLANTED, SLOPE = 0.25, 0.3
"""Share of the crops that are slanted further, and the standard deviation of their slope. In a box
of 4:1, a slope of 0.3 is 4 degrees. The frame grows with it, as a detector's box does."""
GREY = 0.1
"""Share of the crops without colour, as under infra-red light."""
NEGATIVE = 0.06
"""Share of the inverted crops. Few plates have light letters, and few of those are labelled."""
UNEVEN, PATCHES = 0.15, (3, 8)
"""Share of the unevenly lit crops, and their number of patches (rows, columns)."""
GLARE, GLARES, SHADOW = 0.6, (15, 80), 0.4
"""Share of the unevenly lit crops with glare (the others have broken shadow), range of the glare in
grey levels, and exponent of the shadow: a patch of strength s is darker by exp(-SHADOW * s)."""
FADED, FAINTEST = 0.2, 0.3
"""Share of the crops with less contrast, and the minimum contrast that is left."""


def augmented_batch(
    inputs: Tensor, rng: np.random.Generator, centres: Sequence[NDArray[np.float32]] = ()
) -> tuple[Tensor, NDArray[np.float64]]:
    """Varies the framing and the light of each crop, shape (N, C, H, W).

    A crop keeps its frame if the new one would cut off a character, whose centre is given from 0 to
    1. The new frames are returned as torch's affine_grid takes them, shape (N, 2, 3).
    """
    frames = _frames(len(inputs), rng)
    for frame, points in zip(frames, centres, strict=False):
        if (np.abs(reframed(points, frame)) > 1 - 2 * EDGE).any():
            frame[:] = np.eye(2, 3)
    grid = functional.affine_grid(
        torch.from_numpy(frames).float(), list(inputs.shape), align_corners=False
    )
    moved = functional.grid_sample(inputs, grid, padding_mode="border", align_corners=False)
    return _relit(moved, rng), frames


def reframed(points: NDArray[np.float32], frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """Maps points (M, 2) of a crop, 0 to 1, to the augmented crop, -1 to 1."""
    mapped = np.linalg.solve(frame[:, :2], (2 * points - 1 - frame[:, 2]).T).T
    return np.asarray(mapped, np.float64)


def _frames(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    zoom = 1 + ZOOM * rng.standard_normal((count, 2))
    slope = SLOPE * rng.standard_normal(count) * (rng.random(count) < SLANTED)
    zoom[:, 1] *= 1 + abs(slope)
    frames = np.zeros((count, 2, 3))
    frames[:, (0, 1), (0, 1)] = zoom
    frames[:, 1, 0] = slope
    frames[:, :, 2] = 2 * SHIFT * rng.standard_normal((count, 2))
    return frames


def _relit(crops: Tensor, rng: np.random.Generator) -> Tensor:
    shape = (len(crops), 1, 1, 1)

    def chosen(share: float) -> Tensor:
        return torch.from_numpy(rng.random(shape) < share)

    def normal() -> Tensor:
        return torch.from_numpy(rng.standard_normal(shape)).float()

    crops = torch.where(chosen(GREY), crops.mean(dim=1, keepdim=True), crops)
    crops = torch.where(chosen(NEGATIVE), 255 - crops, crops)
    crops = torch.where(chosen(UNEVEN), _unevenly_lit(crops, rng), crops)
    contrast = torch.from_numpy(rng.uniform(FAINTEST, 1, shape)).float()
    mean = crops.mean(dim=(2, 3), keepdim=True)
    crops = torch.where(chosen(FADED), mean + contrast * (crops - mean), crops)
    gain = torch.exp(0.2 * normal())
    return (crops * gain + 10 * normal()).clamp(0, 255)


def _unevenly_lit(crops: Tensor, rng: np.random.Generator) -> Tensor:
    """Adds patches of glare or shadow to crops, shape (N, C, H, W). Values may exceed 255."""
    count, _, height, width = crops.shape
    patches = torch.from_numpy(rng.gamma(0.5, 1.0, (count, 1, *PATCHES))).float()
    strength = functional.interpolate(patches, (height, width), mode="bicubic").clamp(0, 2)
    levels = torch.from_numpy(rng.uniform(*GLARES, (count, 1, 1, 1))).float()
    glare = torch.from_numpy(rng.random((count, 1, 1, 1)) < GLARE)
    return torch.where(glare, crops + levels * strength, crops * torch.exp(-SHADOW * strength))
