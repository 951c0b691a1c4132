"""Proof that a network answers in ONNX Runtime as it does in torch."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Image
from plateid.models.session import NetworkSession
from train.train_error import TrainError

CLIP = Path(__file__).parents[2] / "plateid" / "demo" / "demo.mp4"
Array = NDArray[np.float32]
UNLIKELY = 0.01
"""Boxes of candidates below this score are not compared."""


def run(path: Path, inputs: Array) -> Array:
    """One inference of a file, as the device runs it."""
    return NetworkSession(str(path), path.read_bytes()).run(inputs)


def street(width: int, height: int) -> Image:
    """A picture with plates: one of the demo's, scaled."""
    clip = cv2.VideoCapture(str(CLIP))
    clip.set(cv2.CAP_PROP_POS_FRAMES, 125)
    read, image = clip.read()
    clip.release()
    if not read:
        raise TrainError(f"{CLIP}: cannot be read")
    return np.asarray(cv2.resize(image, (width, height)), np.uint8)


def check_candidates(path: Path, got: Array, expected: Array, *, box: float, score: float) -> None:
    """Raises TrainError unless every likely candidate has its like in the other answer."""
    for wanted, others in ((expected, got), (got, expected)):
        last = wanted[0, 4].min() + 2 * score  # which of them are still among the best is chance
        likely = wanted[0].T[wanted[0, 4] >= max(UNLIKELY, last)]
        differences = np.abs(likely[:, None] - others[0].T[None]) / [box, box, box, box, score]
        worst = differences.max(axis=2).min(axis=1, initial=np.inf).max(initial=0.0)
        if not worst <= 1:
            raise TrainError(f"{path}: ONNX Runtime differs from torch, {worst:.2g} times too much")
    scores = (np.sort(answer[0, 4])[::-1] for answer in (got, expected))
    check_equal(
        path, *(each[: min(got.shape[2], expected.shape[2])] for each in scores), tolerance=score
    )


def check_equal(path: Path, got: Array, expected: Array, *, tolerance: float) -> None:
    """Raises TrainError unless no value differs by more."""
    difference = float(np.abs(got - expected).max())
    if not difference <= tolerance:
        raise TrainError(f"{path}: ONNX Runtime differs from torch by {difference:.2g}")
