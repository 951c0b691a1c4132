"""Projects a plate to a random viewpoint of the camera, and crops it as a detector does."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Image

Points = NDArray[np.float64]
"""Shape (N, 2), pixels; or a homography, shape (3, 3)."""
TILTED, TILT = 0.12, 25.0
"""Share of plates (0-1) whose roll is uniformly distributed, and its largest value, degrees."""
CUT = 0.22
"""Maximum share of a character's width or height that a crop cuts off: the text stays legible."""


@dataclass(frozen=True, eq=False)
class CroppedPlate:
    """A plate as a detector crops it; points are in pixels of the crop."""

    image: Image
    centres: Points  # of its characters, shape (N, 2)
    corners: Points  # top left, top right, bottom right, bottom left; shape (4, 2)


def random_homography(rng: np.random.Generator, size: tuple[float, float]) -> Points:
    """Returns a view of a plate (width, height) with random roll, yaw, pitch and skew."""
    width, height = size
    strength = 1.0 if rng.random() < 0.88 else 2.0
    roll_deg = float(np.clip(rng.normal(0, 3.2), -14, 14)) * strength
    angle = np.deg2rad(rng.uniform(-TILT, TILT) if rng.random() < TILTED else roll_deg)
    roll = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    yaw, pitch = np.clip(rng.normal(0, 0.33, 2) * strength, -1.05, 1.05) * (1.0, 0.6)
    skew = np.array(
        [[np.cos(yaw), rng.normal(0, 0.08) * strength], [rng.normal(0, 0.03), np.cos(pitch)]]
    )
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (width / 2, height / 2)
    depth = rng.uniform(2.5, 9) * width
    distance = 1 + (corners[:, :1] * np.sin(yaw) + corners[:, 1:] * np.sin(pitch)) / depth
    moved = (corners @ (roll @ skew).T) / distance
    start = (corners + np.array([width / 2, height / 2])).astype(np.float32)
    return np.asarray(cv2.getPerspectiveTransform(start, moved.astype(np.float32)), np.float64)


def crop_plate(
    rng: np.random.Generator,
    image: Image,
    margin: int,
    boxes: NDArray[np.float32],
    *,
    view: Points | None = None,
) -> CroppedPlate:
    """Returns a plate from a random viewpoint, cropped by a detector.

    The image shows the plate, a margin around it, and characters in these boxes, xyxy in pixels of
    the plate. The crop contains them. `view`, a homography, replaces the random viewpoint.
    """
    height, width = image.shape[0] - 2 * margin, image.shape[1] - 2 * margin
    view = random_homography(rng, (width, height)) if view is None else view
    flat = np.array([(0, 0), (width, 0), (width, height), (0, height)], float)
    corners = _transform(view, flat)
    x1, y1, x2, y2 = _contain_characters(_detector_box(rng, corners), view, boxes)
    shift = np.array([[1, 0, -x1], [0, 1, -y1], [0, 0, 1]])
    without_margin = np.array([[1, 0, -margin], [0, 1, -margin], [0, 0, 1]])
    size = (max(8, round(x2 - x1)), max(6, round(y2 - y1)))
    whole = shift @ view @ without_margin
    border = cv2.BORDER_REPLICATE  # a reflection would show the text of a tilted plate again
    crop = cv2.warpPerspective(image, whole, size, flags=cv2.INTER_LINEAR, borderMode=border)
    middles = (boxes[:, :2] + boxes[:, 2:]).astype(np.float64) / 2
    seen = shift @ view
    return CroppedPlate(
        np.asarray(crop, np.uint8), _transform(seen, middles), _transform(seen, flat)
    )


def _transform(homography: Points, points: Points) -> Points:
    moved = np.column_stack([points, np.ones(len(points))]) @ homography.T
    return np.asarray(moved[:, :2] / moved[:, 2:])


def _detector_box(rng: np.random.Generator, corners: Points) -> Points:
    """Returns the box around the corners with the errors of our detector on each side."""
    low, high = corners.min(axis=0), corners.max(axis=0)
    size = high - low
    kind = rng.random()
    if kind < 0.7:
        error = np.clip(rng.normal(0.015, 0.035, 4), -0.07, 0.12)
    elif kind < 0.9:
        error = rng.uniform(-0.06, 0.1, 4)
    else:
        error = rng.uniform(-0.12, 0.16, 4)
    if rng.random() < 0.3:
        slide = rng.normal(0, 0.025, 2)
        error = error + np.array([-slide[0], -slide[1], slide[0], slide[1]])
    error[[1, 3]] *= rng.uniform(0.8, 1.6)
    return np.concatenate([low - error[:2] * size, high + error[2:] * size])


def _contain_characters(box: Points, view: Points, boxes: NDArray[np.float32]) -> Points:
    """Returns the box, enlarged where it would cut more than `CUT` off a character."""
    if not len(boxes):
        return box
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    seen = _transform(view, corners.reshape(-1, 2).astype(np.float64)).reshape(-1, 4, 2)
    low, high = seen.min(axis=1), seen.max(axis=1)
    inner = CUT * (high - low)
    widest = np.concatenate([(low + inner).min(axis=0), (high - inner).max(axis=0)])
    return np.concatenate([np.minimum(box[:2], widest[:2]), np.maximum(box[2:], widest[2:])])
