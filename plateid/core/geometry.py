"""Boxes and letterboxing, shared by the device and the training."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Box, Image, LazyImage

Boxes = NDArray[np.float32]
"""Shape (N, 4), rows x1, y1, x2, y2."""

PADDING = 114
"""Grey level of the letterbox padding, as in ultralytics."""
SAME_PLACE = 0.5
"""Minimum IoU of two boxes that are in the same place."""


def iou(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """Returns the intersection over union of every pair, shape (len(a), len(b)); 0 without area."""
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.prod(np.clip(bottom_right - top_left, 0, None), axis=2)
    union = _areas(a)[:, None] + _areas(b)[None, :] - overlap
    result: NDArray[np.float32] = np.zeros_like(overlap)
    np.divide(overlap, union, out=result, where=union > 0)
    return result


def _areas(boxes: Boxes) -> NDArray[np.float32]:
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return np.asarray(sides[:, 0] * sides[:, 1], dtype=boxes.dtype)


def box_iou(a: Box, b: Box) -> float:
    """Returns the `iou` of two boxes."""
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = a, b
    width, height = min(ax2, bx2) - max(ax1, bx1), min(ay2, by2) - max(ay1, by1)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - shared)


def centre(box: Box) -> tuple[float, float]:
    """Returns the centre of a box."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def same_place(a: Box, b: Box) -> bool:
    """Returns whether two boxes are in the same place."""
    return box_iou(a, b) >= SAME_PLACE


def nms(boxes: Boxes, scores: NDArray[np.float32], *, iou_threshold: float) -> NDArray[np.intp]:
    """Returns the indices that greedy non-maximum suppression keeps, best score first."""
    sized = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
    kept = cv2.dnn.NMSBoxes(sized.tolist(), scores.tolist(), 0.0, iou_threshold)
    return np.asarray(kept, dtype=np.intp)


def corners(rows: NDArray[np.float32]) -> Boxes:
    """Converts rows that begin with cx, cy, w, h to rows x1, y1, x2, y2."""
    half = rows[:, 2:4] / 2
    return np.hstack([rows[:, :2] - half, rows[:, :2] + half])


def expanded(box: Box, *, x: float, y: float) -> Box:
    """Returns the box with margins of `x` widths at the sides, and `y` heights above and below."""
    x1, y1, x2, y2 = box
    dx, dy = x * (x2 - x1), y * (y2 - y1)
    return x1 - dx, y1 - dy, x2 + dx, y2 + dy


def moved(box: Box, dx: float, dy: float) -> Box:
    """Returns the box moved right by `dx` and down by `dy` pixels."""
    x1, y1, x2, y2 = box
    return x1 + dx, y1 + dy, x2 + dx, y2 + dy


def scaled(box: Box, x: float, y: float) -> Box:
    """Returns the box in an image whose width changed by the factor `x` and height by `y`."""
    x1, y1, x2, y2 = box
    return x * x1, y * y1, x * x2, y * y2


def clipped(box: Box, image: Image) -> Box:
    """Returns the part of the box that is inside the image, with sides of at least one pixel."""
    height, width = image.shape[:2]
    x1, x2 = sorted(min(max(x, 0.0), float(width)) for x in (box[0], box[2]))
    y1, y2 = sorted(min(max(y, 0.0), float(height)) for y in (box[1], box[3]))
    x1, y1 = min(x1, width - 1.0), min(y1, height - 1.0)
    return x1, y1, max(x2, x1 + 1.0), max(y2, y1 + 1.0)


@dataclass(frozen=True)
class Letterbox:
    """How an image is scaled (input pixels per image pixel) and centred (pixels) in an input."""

    scale: float
    left: int
    top: int
    width: int
    height: int

    @classmethod
    def fit(
        cls, image: tuple[int, int], canvas: tuple[int, int], *, enlarges: bool = False
    ) -> "Letterbox":
        """Returns the largest centred placement, both (width, height); `enlarges` allows that."""
        # a plate that is only found in an enlarged image is too small to be read
        scale = min(canvas[0] / image[0], canvas[1] / image[1], *([] if enlarges else [1.0]))
        width = min(canvas[0], max(1, round(image[0] * scale)))
        height = min(canvas[1], max(1, round(image[1] * scale)))
        return cls(scale, (canvas[0] - width) // 2, (canvas[1] - height) // 2, width, height)

    def to_image(self, boxes: Boxes) -> Boxes:
        """Converts boxes, shape (N, 4), from input pixels to image pixels."""
        offset = np.array([self.left, self.top, self.left, self.top], dtype=np.float32)
        return (boxes - offset) / np.float32(self.scale)


def letterboxed(image: LazyImage, canvas: Image, *, enlarges: bool = False) -> Letterbox:
    """Overwrites `canvas`, shape (H, W, 3), with the scaled image and grey padding."""
    height, width = canvas.shape[:2]
    box = Letterbox.fit((image.width, image.height), (width, height), enlarges=enlarges)
    canvas[: box.top] = canvas[box.top + box.height :] = PADDING
    canvas[:, : box.left] = canvas[:, box.left + box.width :] = PADDING
    canvas[box.top : box.top + box.height, box.left : box.left + box.width] = image.resized(
        box.width, box.height
    )
    return box


def sharpness(crop: Image) -> float:
    """Returns the sharpness of a crop, 0 to 1: its mean squared Laplacian e as e / (1 + e).

    The Laplacian is divided by the variance, so that dim and bright crops are comparable.
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    _, deviation = cv2.meanStdDev(grey)
    edges = float(cv2.norm(cv2.Laplacian(grey, cv2.CV_32F), cv2.NORM_L2SQR))
    energy: float = edges / grey.size / (float(deviation[0, 0]) ** 2 + 1.0)
    return energy / (1.0 + energy)
