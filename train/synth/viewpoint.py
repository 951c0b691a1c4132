"""How a camera stands to a plate, and how a detector cuts it out."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Image

Points = NDArray[np.float64]
CUT = 0.22
"""Of a character's box: so much a crop may cut off before the text would no longer be there."""


@dataclass(frozen=True)
class PlateCrop:
    """A picture that was cut out, and where points of the flat plate are in it."""

    image: Image
    homography: Points

    def seen(self, points: Points) -> Points:
        """Points (N, 2) of the flat plate in pixels of the image."""
        return _mapped(self.homography, points)


def random_homography(rng: np.random.Generator, size: tuple[float, float]) -> Points:
    """A view of a plate of width and height from the front or a side, level or tilted."""
    width, height = size
    strength = 1.0 if rng.random() < 0.88 else 2.0
    angle = np.deg2rad(float(np.clip(rng.normal(0, 3.2), -14, 14)) * strength)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    yaw, pitch = np.clip(rng.normal(0, 0.33, 2) * strength, -1.05, 1.05) * (1.0, 0.6)
    skew = np.array(
        [[np.cos(yaw), rng.normal(0, 0.08) * strength], [rng.normal(0, 0.03), np.cos(pitch)]]
    )
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (width / 2, height / 2)
    depth = rng.uniform(2.5, 9) * width
    away = 1 + (corners[:, :1] * np.sin(yaw) + corners[:, 1:] * np.sin(pitch)) / depth
    moved = (corners @ (turn @ skew).T) / away
    start = (corners + np.array([width / 2, height / 2])).astype(np.float32)
    return np.asarray(cv2.getPerspectiveTransform(start, moved.astype(np.float32)), np.float64)


def crop_plate(
    rng: np.random.Generator, scene: Image, margin: int, boxes: NDArray[np.float32]
) -> PlateCrop:
    """The mount_on_vehicle plate as a camera sees it, cut out as a detector does.

    Args:
        rng: Chance.
        scene: The plate and `margin` pixels around it.
        margin: See scene.
        boxes: Of the characters, xyxy on the plate; the crop spares them.
    """
    height, width = scene.shape[0] - 2 * margin, scene.shape[1] - 2 * margin
    view = random_homography(rng, (width, height))
    corners = _mapped(view, np.array([(0, 0), (width, 0), (width, height), (0, height)], float))
    x1, y1, x2, y2 = _spared(_detected(rng, corners), view, boxes)
    shift = np.array([[1, 0, -x1], [0, 1, -y1], [0, 0, 1]])
    unmounted = np.array([[1, 0, -margin], [0, 1, -margin], [0, 0, 1]])
    size = (max(8, round(x2 - x1)), max(6, round(y2 - y1)))
    image = cv2.warpPerspective(
        scene, shift @ view @ unmounted, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return PlateCrop(np.asarray(image, np.uint8), shift @ view)


def _mapped(homography: Points, points: Points) -> Points:
    moved = np.column_stack([points, np.ones(len(points))]) @ homography.T
    return np.asarray(moved[:, :2] / moved[:, 2:])


def _detected(rng: np.random.Generator, corners: Points) -> Points:
    """The box around the corners, each side as far off as our detector's are."""
    low, high = corners.min(axis=0), corners.max(axis=0)
    size = high - low
    kind = rng.random()
    if kind < 0.7:
        off = np.clip(rng.normal(0.015, 0.035, 4), -0.07, 0.12)
    elif kind < 0.9:
        off = rng.uniform(-0.06, 0.1, 4)
    else:
        off = rng.uniform(-0.12, 0.16, 4)
    if rng.random() < 0.3:
        slide = rng.normal(0, 0.025, 2)
        off = off + np.array([-slide[0], -slide[1], slide[0], slide[1]])
    off[[1, 3]] *= rng.uniform(0.8, 1.6)
    return np.concatenate([low - off[:2] * size, high + off[2:] * size])


def _spared(box: Points, view: Points, boxes: NDArray[np.float32]) -> Points:
    """The box, widened where it would cut too much off a character."""
    if not len(boxes):
        return box
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    seen = _mapped(view, corners.reshape(-1, 2).astype(np.float64)).reshape(-1, 4, 2)
    low, high = seen.min(axis=1), seen.max(axis=1)
    inner = CUT * (high - low)
    widest = np.concatenate([(low + inner).min(axis=0), (high - inner).max(axis=0)])
    return np.concatenate([np.minimum(box[:2], widest[:2]), np.maximum(box[2:], widest[2:])])
