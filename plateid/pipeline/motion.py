"""The motion gate: decides whether a frame differs enough to run the detector on it."""

from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from plateid.core.records import Frame, Grey

SIZE = (160, 90)
"""Width and height at which frames are compared, in pixels."""
BUSY, CHECK_EVERY = 15, 3
"""After `BUSY` frames with motion, the gate compares every third frame only: it costs less."""
CHANGE, MIN_PIXELS = 16, 4
"""Motion is a change of more than `CHANGE` grey levels in at least `MIN_PIXELS` pixels."""
MAX_STILL = timedelta(seconds=5)
"""Longest time without a detection in a still scene."""
_MAX_LUMA = 255


class MotionGate:
    """Compares a frame's luma with a reference: the last frame that passed the gate.

    Slow changes add up, because a frame that does not pass is not the next reference.

    `still` says that nothing has moved since the last frame that passed; it is False if this one
    passed without a comparison.
    """

    def __init__(self, shown: NDArray[np.bool_] | None = None) -> None:
        """Motion counts in `shown`, shape (90, 160); None: everywhere."""
        self._shown = True if shown is None else shown
        self._reference: Grey | None = None
        self._busy = 0
        self._passed_at: datetime | None = None
        self.still = False

    def passes(self, frame: Frame) -> bool:
        """Returns whether the frame shows motion, or the last one that passed is too long ago."""
        self._busy += 1
        self.still = False
        if self._busy > BUSY and self._busy % CHECK_EVERY:
            return True
        luma, now = frame.image.luma(*SIZE), frame.time
        same, compared_all = self._is_like_reference(luma), self._busy <= BUSY
        self.still = same and compared_all
        if same:
            self._busy = 0
        if self.still and self._passed_at and now - self._passed_at < MAX_STILL:
            return False
        self._reference = luma
        # None: motion may have ended in a frame that was not compared, so the next one passes too
        self._passed_at = now if compared_all or not same else None
        return True

    def _is_like_reference(self, luma: Grey) -> bool:
        if self._reference is None:
            return False
        change = np.subtract(luma, self._reference, dtype=np.int16)
        change -= _median(change)  # a change of exposure changes every pixel alike
        moved = (np.abs(change) > CHANGE) & self._shown
        return int(np.count_nonzero(moved)) < MIN_PIXELS


def _median(change: NDArray[np.int16]) -> np.int16:
    """Returns the median of luma differences; a histogram takes a fifth of the time of sorting."""
    counts = np.bincount((change + _MAX_LUMA).ravel())
    return np.int16(np.searchsorted(counts.cumsum(), change.size / 2) - _MAX_LUMA)
