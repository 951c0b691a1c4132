"""Measures where a main stream shows what its sub-stream shows, by matching two images."""

from dataclasses import dataclass

import cv2
import numpy as np

from plateid.core.close_up import CloseUp
from plateid.core.records import Grey, LazyImage
from plateid.errors import PlateidError

WIDTH_PX, FEATURES = 640, 2000
"""Width to which both images are scaled, and number of ORB features of each."""
MIN_HEIGHT_PX = 64
"""Minimum height of a scaled image: a damaged stream may have any size."""
DISTINCT = 0.8
"""Maximum distance of a match, in distances of the second best (Lowe, IJCV 2004)."""
MIN_MATCHES, TOLERANCE_PX = 20, 1.5
"""Minimum number of matches that agree, and their maximum error, pixels of the scaled images."""
MAX_SHEAR = 0.03
"""Maximum rotation and shear: streams of one camera differ in size, aspect ratio and crop only."""
MAX_MISSING_PX = 8
"""Width of the border that the main stream may lack though its images count as complete."""


class MappingError(PlateidError):
    """Two images do not show the same scene, or too little to be sure."""


@dataclass(frozen=True)
class Mapping:
    """Main-stream pixels per sub-stream pixel, where the sub-stream's origin is, and both sizes."""

    scale: tuple[float, float]
    origin: tuple[int, int]
    sizes: tuple[int, int, int, int]

    def __str__(self) -> str:
        return "scale {:.2f} x {:.2f}, origin {}, {}".format(*self.scale, *self.origin)

    @classmethod
    def measured(cls, sub: LazyImage, main: LazyImage) -> "Mapping":
        """Matches ORB features of both images; raises MappingError if they do not agree."""
        (a, a_px), (b, b_px) = _reduced(sub), _reduced(main)
        (x, left), (y, top) = _matched(a, b)
        scale = x * b_px[0] / a_px[0], y * b_px[1] / a_px[1]
        origin = round(left * b_px[0]), round(top * b_px[1])
        return cls(scale, origin, (sub.width, sub.height, main.width, main.height))

    def close_up(self, main: LazyImage) -> CloseUp:
        """Returns the part of an image of the main stream that the sub-stream shows."""
        left, top = self.origin
        sub, sides = self.sizes[:2], self.sizes[2:]
        ends = [round(o + k * n) for o, k, n in zip(self.origin, self.scale, sub, strict=True)]
        x1, y1 = (max(0, at) & ~1 for at in self.origin)
        x2, y2 = (min(end, side) & ~1 for end, side in zip(ends, sides, strict=True))
        missing = max(-left, -top, ends[0] - sides[0], ends[1] - sides[1])
        whole = (x1, y1, x2, y2) == (0, 0, *sides)
        image = main if whole else main.part((x1, y1, x2, y2))
        return CloseUp(image, self.scale, (left - x1, top - y1), missing <= MAX_MISSING_PX)


def _reduced(image: LazyImage) -> tuple[Grey, tuple[float, float]]:
    """Returns the equalised brightness of a scaled image, and pixels per pixel of it."""
    height = min(max(MIN_HEIGHT_PX, round(WIDTH_PX * image.height / image.width)), 2 * WIDTH_PX)
    grey = cv2.equalizeHist(np.ascontiguousarray(image.luma(WIDTH_PX, height)))
    return np.asarray(grey, np.uint8), (image.width / WIDTH_PX, image.height / height)


def _matched(a: Grey, b: Grey) -> list[tuple[float, float]]:
    """Returns scale and offset, in x and in y, that map points of `a` to `b`."""
    orb = cv2.ORB.create(FEATURES, fastThreshold=8)
    (keys_a, of_a), (keys_b, of_b) = (orb.detectAndCompute(each, None) for each in (a, b))
    enough = min(len(keys_a), len(keys_b)) >= MIN_MATCHES
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(of_a, of_b, k=2) if enough else ()
    matches = [best for best, second in pairs if best.distance < DISTINCT * second.distance]
    count = len(matches)
    if count >= MIN_MATCHES:
        start = np.array([keys_a[each.queryIdx].pt for each in matches])
        end = np.array([keys_b[each.trainIdx].pt for each in matches])
        affine, agree = cv2.estimateAffine2D(start, end, ransacReprojThreshold=TOLERANCE_PX)
        count = int(agree.sum())
    if count < MIN_MATCHES:
        raise MappingError("main stream", f"shows another scene: {count} points agree")
    if max(abs(affine[0, 1]), abs(affine[1, 0])) > MAX_SHEAR * affine[0, 0]:
        raise MappingError("main stream", "is rotated or mirrored")
    start, end = start[agree.ravel() == 1] + 0.5, end[agree.ravel() == 1] + 0.5  # not pixel centres
    return [tuple(np.polyfit(start[:, axis], end[:, axis], 1).tolist()) for axis in (0, 1)]
