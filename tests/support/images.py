"""Images for tests that need pixels but no decoder."""

import cv2
import numpy as np

from plateid.core.records import Box, Grey, Image


class ArrayLazyImage:
    """A `LazyImage` around a BGR array that tests may look into."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.height, self.width = image.shape[:2]

    def resized(self, width: int, height: int) -> Image:
        return cv2.resize(self.image, (width, height), interpolation=cv2.INTER_AREA)

    def crop(self, box: Box) -> Image:
        x1, y1, x2, y2 = (round(value) for value in box)
        return self.image[max(0, y1) : max(1, y2), max(0, x1) : max(1, x2)]

    def part(self, box: Box) -> "ArrayLazyImage":
        return ArrayLazyImage(self.crop(box))

    def luma(self, width: int, height: int) -> Grey:
        return cv2.resize(cv2.cvtColor(self.image, cv2.COLOR_BGR2GRAY), (width, height))


def plain(width: int = 64, height: int = 48, *, level: int = 0) -> ArrayLazyImage:
    return ArrayLazyImage(np.full((height, width, 3), level, np.uint8))
