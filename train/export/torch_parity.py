"""Numerical parity check: ONNX Runtime must give the outputs of torch."""

from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plateid.capture.video_file import read_video
from plateid.core.records import Image
from plateid.models.session import NetworkSession
from train.train_error import TrainError

VIDEO = Path(__file__).parents[2] / "plateid" / "demo" / "demo.mp4"
"""Video whose frame is compared."""
FRAME = 125
"""A frame of the demo's video that shows plates."""
MIN_SCORE = 0.01
"""Candidates below this score (0-1) are not compared."""
Array = NDArray[np.float32]


def infer(path: Path, inputs: NDArray[np.float32] | NDArray[np.uint8]) -> Array:
    """Runs an ONNX file once, as the device does."""
    return NetworkSession(str(path), path.read_bytes()).run(inputs)


def demo_frame(width: int, height: int) -> Image:
    """Returns an image with plates, scaled."""
    frame = next(islice(read_video(VIDEO), FRAME, None))
    return frame.image.resized(width, height)


def check_candidates(path: Path, got: Array, expected: Array, *, box: float, score: float) -> None:
    """Raises a TrainError unless each likely candidate is near one of the other output.

    Outputs have the shape (1, 5, N). `box` (pixels) and `score` are tolerances.
    """
    for wanted, others in ((expected, got), (got, expected)):
        last = wanted[0, 4].min() + 2 * score  # near the worst score, which are in is arbitrary
        likely = wanted[0].T[wanted[0, 4] >= max(MIN_SCORE, last)]
        differences = np.abs(likely[:, None] - others[0].T[None]) / [box, box, box, box, score]
        worst = differences.max(axis=2).min(axis=1, initial=np.inf).max(initial=0.0)
        if not worst <= 1:
            raise TrainError(
                f"{path}: ONNX Runtime differs from torch by {worst:.2g} times the tolerance"
            )
    count = min(got.shape[2], expected.shape[2])
    scores = [np.sort(output[0, 4])[::-1][:count] for output in (got, expected)]
    check_equal(path, *scores, tolerance=score)


def check_equal(path: Path, got: Array, expected: Array, *, tolerance: float) -> None:
    """Raises a TrainError if a value differs by more than the tolerance."""
    difference = float(np.abs(got - expected).max())
    if not difference <= tolerance:
        raise TrainError(f"{path}: ONNX Runtime differs from torch by {difference:.2g}")
