"""Lays flat pictures onto four-cornered faces of the picture."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Grey, Image
from train.scene.camera import Points


@dataclass(frozen=True, eq=False)
class Texture:
    """A picture in halving sizes, so that small copies of it do not flicker.

    Attributes:
        solid: 255 where the picture counts; None: everywhere. One for each size.
    """

    sizes: tuple[Image, ...]
    solid: tuple[Grey, ...] | None = None

    def level(self, shrink: float) -> int:
        """The size to use when the picture is drawn `shrink` times smaller."""
        return int(np.clip(np.log2(max(shrink, 1.0)) + 0.3, 0, len(self.sizes) - 1))


def texture(picture: Image, solid: Grey | None = None) -> Texture:
    """Builds the sizes."""
    return Texture(_halves(picture), None if solid is None else _halves(solid))


def _halves(picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
    sizes = [picture]
    while min(sizes[-1].shape[:2]) > 12:
        sizes.append(_half(sizes[-1]))
    return tuple(sizes)


def _half(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    width, height = (picture.shape[1] + 1) // 2, (picture.shape[0] + 1) // 2
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def facing(corners: Points) -> bool:
    """Whether the corners (lower left, lower right, upper right, upper left) face the camera."""
    x, y = corners[:, 0], corners[:, 1]
    return bool(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) < 0)


def shrink_of(source: Points, target: Points) -> float:
    """How many pixels of the texture go into one of the picture, along the side with fewer."""
    before = np.linalg.norm(source - np.roll(source, -1, axis=0), axis=1)
    after = np.linalg.norm(target - np.roll(target, -1, axis=0), axis=1)
    across = before[::2].max() / max(after[::2].max(), 0.1)
    down = before[1::2].max() / max(after[1::2].max(), 0.1)
    return float(min(across, down))


def paste(picture: Image, face: Texture, source: Points, target: Points) -> None:
    """Draws the part of the texture between `source` onto `target`, in place.

    Args:
        picture: Drawn on.
        face: The texture.
        source: Four corners in pixels of the texture's first size.
        target: The same corners in `picture`; they may lie outside.
    """
    low = np.maximum(np.floor(target.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(target.max(axis=0)).astype(int) + 1, picture.shape[1::-1])
    size = high - low
    if (size <= 0).any():
        return
    level = face.level(shrink_of(source, target))
    there = ((source + 0.5) / 2**level - 0.5).astype(np.float32)
    turn = cv2.getPerspectiveTransform(there, (target - low).astype(np.float32))
    view = picture[low[1] : high[1], low[0] : high[0]]
    window = (int(size[0]), int(size[1]))
    mask = np.zeros(view.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, np.round((target - low) * 16).astype(np.int32), (255,), cv2.LINE_8, 4)
    if face.solid is not None:
        mask &= cv2.warpPerspective(face.solid[level], turn, window)
    picked = face.sizes[level]
    warped = cv2.warpPerspective(picked, turn, window, borderMode=cv2.BORDER_REPLICATE)
    cv2.copyTo(warped, (mask > 127).astype(np.uint8), view)
