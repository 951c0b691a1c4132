"""The motion gate: is it worth running the detector on this frame?"""

from datetime import datetime, timedelta

import numpy as np

from plateid.core.records import Frame, Grey

SIZE = (160, 90)


class MotionGate:
    """Compares a frame's luma with that of the last frame that was let through.

    Comparing with the last one let through, not with the last one, lets slow changes add up.
    """

    def __init__(
        self, *, threshold: int = 16, min_pixels: int = 4, max_still_s: float = 5.0
    ) -> None:
        """Has seen nothing yet.

        Args:
            threshold: Grey levels that count as a change.
            min_pixels: Changed pixels, of 160 x 90, that count as motion.
            max_still_s: Seconds after which a still scene is looked at all the same.
        """
        self._threshold = threshold
        self._min_pixels = min_pixels
        self._max_still = timedelta(seconds=max_still_s)
        self._reference: Grey | None = None
        self._passed_at: datetime | None = None

    def passes(self, frame: Frame) -> bool:
        """Whether the frame differs from the last one that passed, or that one is too long ago."""
        luma = frame.picture.luma(*SIZE)
        if self._still(luma, frame.captured_at):
            return False
        self._reference, self._passed_at = luma, frame.captured_at
        return True

    def _still(self, luma: Grey, now: datetime) -> bool:
        if (
            self._reference is None
            or self._passed_at is None
            or now - self._passed_at >= self._max_still
        ):
            return False
        change = luma.astype(np.int16) - self._reference
        change -= np.int16(np.median(change))  # a change of exposure moves every pixel alike
        return int(np.count_nonzero(np.abs(change) > self._threshold)) < self._min_pixels
