"""Whether a bundle answers on another provider as it does on the CPU, in float32.

An engine computes in float16, so equal is not to be had. Rounded to float16 after each operator,
the first bundle differed over the demo's clip by 0.002 in scores, 0.965 in IoU and 0.003 in
probabilities (emulated on a CPU); the tolerances leave room for another order of sums.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plateid.core.geometry import corners, iou
from plateid.core.records import LazyImage
from plateid.errors import ModelError
from plateid.models.detector import as_input
from plateid.models.networks import Networks
from plateid.models.reader import fitted

SCORE_TOLERANCE = 0.02
"""Greatest difference of the detector's scores, best against best."""
LEAST_IOU = 0.9
"""Of a plate's box with the nearest one of the other side."""
PROBABILITY_TOLERANCE = 0.05
"""Greatest difference of a character's probability in one step of the reader, or of a country's."""
Rows = NDArray[np.float32]
"""Shape (N, 5): cx, cy, w, h, score, in any order."""


@dataclass(frozen=True)
class Agreement:
    """The greatest differences that were found, all within tolerance.

    Attributes:
        score: Of a detection.
        iou: The worst of a plate's box with its partner; 1 where there is no plate.
        probability: Of a character or a country.
    """

    score: float
    iou: float
    probability: float


def check_agreement(image: LazyImage, networks: Networks, reference: Networks) -> Agreement:
    """Shows a picture to both networks of both sides and compares what they answer.

    Raises:
        ModelError: They differ by more than the tolerances.
    """
    threshold = reference.spec.detector.threshold
    got, expected = _rows(image, networks), _rows(image, reference)
    crops = _crops(image, reference)
    read, truth = networks.reader_session.outputs(crops), reference.reader_session.outputs(crops)
    found = Agreement(
        score_difference(got, expected),
        min(worst_iou(got, expected, threshold), worst_iou(expected, got, threshold)),
        max(float(np.abs(one - other).max()) for one, other in zip(read, truth, strict=True)),
    )
    if found.score > SCORE_TOLERANCE or found.iou < LEAST_IOU:
        raise ModelError(
            networks.detector_session.name,
            f"its answer differs from the CPU's: scores by {found.score:.3f} "
            f"(allowed {SCORE_TOLERANCE}), boxes' IoU {found.iou:.2f} (at least {LEAST_IOU})",
        )
    if found.probability > PROBABILITY_TOLERANCE:
        raise ModelError(
            networks.reader_session.name,
            f"its answer differs from the CPU's by {found.probability:.3f} "
            f"(allowed {PROBABILITY_TOLERANCE})",
        )
    return found


def score_difference(got: Rows, expected: Rows) -> float:
    """Between the best scores, the second-best scores, and so on."""
    return float(np.abs(np.sort(got[:, 4]) - np.sort(expected[:, 4])).max(initial=0.0))


def worst_iou(got: Rows, expected: Rows, threshold: float) -> float:
    """Of the expected plates, that with the worst partner among what was got; 1 without plates."""
    plates = expected[expected[:, 4] >= threshold]
    partners = got[got[:, 4] >= threshold - SCORE_TOLERANCE]
    if not len(plates):
        return 1.0
    return float(iou(corners(plates), corners(partners)).max(axis=1, initial=0.0).min())


def _rows(image: LazyImage, networks: Networks) -> Rows:
    spec = networks.spec.detector
    pixels, session = image.resized(spec.width, spec.height), networks.detector_session
    rows: Rows = session.run(pixels[None] if session.takes_bytes else as_input(pixels))[0].T
    return rows


def _crops(image: LazyImage, networks: Networks) -> NDArray[np.float32]:
    """The plates that the detector finds, or the whole picture, as input of the reader."""
    whole = (0.0, 0.0, float(image.width), float(image.height))
    boxes = [found.box for found in networks.detector().detect(image)] or [whole]
    return np.stack([fitted(image.crop(box), networks.spec.reader) for box in boxes])
