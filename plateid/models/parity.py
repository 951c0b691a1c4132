"""Numerical parity: compares a bundle's outputs on an execution provider with those on the CPU.

TensorRT engines compute in float16. Emulated on a CPU (rounding after each operator), the demo
video's scores differed by 0.002, boxes had an IoU of 0.965 or more, and probabilities differed by
0.003. The tolerances leave room for another order of summation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plateid.core.geometry import corners, iou
from plateid.core.records import LazyImage
from plateid.errors import ModelError
from plateid.models.networks import Networks
from plateid.models.onnx_detector import to_detector_input
from plateid.models.onnx_reader import to_reader_input

SCORE_TOLERANCE = 0.02
"""Maximum difference of the detector's scores, compared in sorted order."""
MIN_IOU = 0.9
"""Minimum IoU of a plate's box with the best match of the other side."""
PROBABILITY_TOLERANCE = 0.05
"""Maximum difference of a character's probability in one CTC step."""
Candidates = NDArray[np.float32]
"""Detector output, shape (N, 5): rows cx, cy, w, h, score in any order."""


@dataclass(frozen=True)
class Parity:
    """The largest differences of scores and probabilities, and the minimum IoU of all plates."""

    score: float
    iou: float
    probability: float


def check_parity(image: LazyImage, networks: Networks, reference: Networks) -> Parity:
    """Compares both bundles' outputs; raises ModelError if they differ by more than allowed."""
    threshold = reference.spec.detector.threshold
    got, expected = _candidates(image, networks), _candidates(image, reference)
    crops = _crops(image, reference)
    read, expected_read = networks.reader_session.run(crops), reference.reader_session.run(crops)
    parity = Parity(
        float(np.abs(np.sort(got[:, 4]) - np.sort(expected[:, 4])).max()),
        min(_min_iou(got, expected, threshold), _min_iou(expected, got, threshold)),
        float(np.abs(read - expected_read).max()),
    )
    if parity.score > SCORE_TOLERANCE or parity.iou < MIN_IOU:
        raise ModelError(
            networks.detector_session.name,
            f"its output differs from the CPU's: scores by {parity.score:.3f} "
            f"(allowed {SCORE_TOLERANCE}), IoU of boxes {parity.iou:.2f} (at least {MIN_IOU})",
        )
    if parity.probability > PROBABILITY_TOLERANCE:
        raise ModelError(
            networks.reader_session.name,
            f"its output differs from the CPU's by {parity.probability:.3f} "
            f"(allowed {PROBABILITY_TOLERANCE})",
        )
    return parity


def _min_iou(got: Candidates, expected: Candidates, threshold: float) -> float:
    """Returns the minimum over the expected plates of the IoU with their best match; 1 if none."""
    plates = expected[expected[:, 4] >= threshold]
    matches = got[got[:, 4] >= threshold - SCORE_TOLERANCE]
    if not len(plates):
        return 1.0
    return float(iou(corners(plates), corners(matches)).max(axis=1, initial=0.0).min())


def _candidates(image: LazyImage, networks: Networks) -> Candidates:
    spec, session = networks.spec.detector, networks.detector_session
    pixels = image.resized(spec.width, spec.height)
    batch = pixels[None] if session.takes_uint8 else to_detector_input(pixels)
    rows: Candidates = session.run(batch)[0].T
    return rows


def _crops(image: LazyImage, networks: Networks) -> NDArray[np.float32]:
    """Returns the detected plates, or else the whole image, as reader input."""
    whole = (0.0, 0.0, float(image.width), float(image.height))
    boxes = [found.box for found in networks.detector().detect(image)] or [whole]
    return np.stack([to_reader_input(image.crop(box), networks.spec.reader) for box in boxes])
