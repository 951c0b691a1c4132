"""The motion gate: is it worth running the detector on this frame?"""

from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Frame, Grey

SIZE = (160, 90)
BUSY, CHECK_EVERY = 15, 3
"""After so many frames in a row that passed, one in three is compared: the next will pass too."""
CHANGE, MIN_PIXELS = 16, 4
"""More grey levels than the first are a change; so many pixels of it, of 160 x 90, are motion."""
MAX_STILL = timedelta(seconds=5)
"""After it a still scene is looked at all the same."""
_MOST = 255


class MotionGate:
    """Compares a frame's luma with that of the last frame that was let through.

    Comparing with the last one let through, not with the last one, lets slow changes add up.

    Attributes:
        still: Whether nothing has moved between the last frame that passed and this one; of those
            that passed without being compared, nobody knows.
    """

    def __init__(self, shown: NDArray[np.bool_] | None = None) -> None:
        """Has seen nothing yet.

        Args:
            shown: Where motion counts, shape (90, 160); None: everywhere.
        """
        self._shown = True if shown is None else shown
        self._reference: Grey | None = None
        self._busy = 0
        self._passed_at: datetime | None = None
        self.still = False

    def passes(self, frame: Frame) -> bool:
        """Whether the frame differs from the last one that passed, or that one is too long ago."""
        self._busy += 1
        self.still = False
        if self._busy > BUSY and self._busy % CHECK_EVERY:
            return True
        luma, now = frame.image.luma(*SIZE), frame.captured_at
        alike, seen_all = self._is_like_reference(luma), self._busy <= BUSY
        self.still = alike and seen_all
        if alike:
            self._busy = 0
        if self.still and self._passed_at and now - self._passed_at < MAX_STILL:
            return False
        self._reference = luma
        self._passed_at = now if seen_all or not alike else None  # None: look twice at what is left
        return True

    def _is_like_reference(self, luma: Grey) -> bool:
        if self._reference is None:
            return False
        change = np.subtract(luma, self._reference, dtype=np.int16)
        change -= _median(change)  # a change of exposure moves every pixel alike
        moved = (np.abs(change) > CHANGE) & self._shown
        return int(np.count_nonzero(moved)) < MIN_PIXELS


def _median(change: NDArray[np.int16]) -> np.int16:
    """Of differences of 8-bit samples; counting them is a fifth of the work of sorting them."""
    counts = np.bincount((change + _MOST).ravel())
    return np.int16(np.searchsorted(counts.cumsum(), change.size / 2) - _MOST)
