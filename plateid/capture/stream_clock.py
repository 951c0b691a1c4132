"""The offset between the timestamps of a camera's sub-stream and of its main stream."""

import math
import statistics
import struct
import time
from collections import deque

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

MAX_LAG_S = 3.0
"""Longest time by which one stream may arrive later, seconds. A camera clock with more is wrong."""
STEP_S, MIN_MEASURED_S, MEASURED_S, EVERY_S = 0.02, 10.0, 40.0, 20.0
"""Step, minimum and maximum length, and interval of the correlation of packet sizes, seconds."""
MIN_CORRELATION, MIN_LEAD = 0.4, 0.1
"""Minimum correlation of packet sizes, and by how much it exceeds that of any other offset."""
PEAK_S = 0.3
"""Half the width of a peak of the correlation, seconds."""
MIN_PLATES, MIN_LATE_S = 5, 0.04
"""Number of moving plates that must agree that the offset is wrong, and by how much at least."""


class Timeline:
    """The packets of one stream: their arrival and camera time less their timestamp, and sizes."""

    def __init__(self) -> None:
        self.arrivals, self.camera_times = deque[float](maxlen=250), deque[float](maxlen=250)
        self.sizes = deque[tuple[float, int]](maxlen=1200)

    def add(self, packet: "Packet[VideoStream]") -> float | None:
        """Returns the timestamp in seconds; None for the first packet of some cameras."""
        if packet.pts is None:
            return None
        at_s = packet.pts * float(packet.time_base)
        self.arrivals.append(time.monotonic() - at_s)
        # FFmpeg dates each packet by the last sender report; the first one's packet, a frame late
        if packet.has_sidedata("prft") and not packet.has_sidedata("rtcp_sr"):
            (micros,) = struct.unpack_from("<q", bytes(packet.get_sidedata("prft")))
            self.camera_times.append(micros / 1e6 - at_s)
        if not packet.is_keyframe:
            self.sizes.append((at_s, packet.size))
        return at_s


class StreamClock:
    """Finds the offset of two streams. `source` says how, for example "packet sizes"."""

    def __init__(self) -> None:
        self.source = "nothing yet"
        self.sub, self.main = Timeline(), Timeline()
        self.restart()

    def restart(self, sub: Timeline | None = None, main: Timeline | None = None) -> None:
        """Replaces the timeline of a stream that was opened again."""
        self.sub, self.main = sub or self.sub, main or self.main
        self._sized_at = time.monotonic()
        self._by_sizes: float | None = None
        self._late = deque[float](maxlen=MIN_PLATES)
        self._correction_s = 0.0

    def offset_s(self) -> float | None:
        """Returns a moment's timestamp in the main stream less that in the sub-stream, if known."""
        sub, main = list(self.sub.arrivals), list(self.main.arrivals)
        if not sub or not main:
            return None
        offset_s, source = min(sub) - min(main), "arrival times"
        by_camera = _median(self.sub.camera_times) - _median(self.main.camera_times)
        if time.monotonic() - self._sized_at > EVERY_S:
            self._sized_at = time.monotonic()
            self._by_sizes = offset_by_sizes(self.sub, self.main, offset_s)
        if abs(by_camera - offset_s) <= MAX_LAG_S:
            offset_s, source = by_camera, "the camera's clock"
        elif self._by_sizes is not None:
            offset_s, source = self._by_sizes, "packet sizes"
        self.source = source + (" and motion" if self._correction_s else "")
        return offset_s + self._correction_s

    def correct(self, late_s: float) -> None:
        """Takes in that a moving plate was where it is only `late_s` after the wanted moment."""
        self._late.append(late_s)
        if (
            len(self._late) == MIN_PLATES
            and abs(late := statistics.median(self._late)) > MIN_LATE_S
        ):
            self._correction_s -= late
            self._late.clear()


def offset_by_sizes(sub: Timeline, main: Timeline, about_s: float) -> float | None:
    """Returns the offset at which packet sizes correlate; None without one clear maximum."""
    (sub_s, sub_sizes), (main_s, main_sizes) = _sizes(sub), _sizes(main)
    end_s = min(sub_s[-1], main_s[-1] - about_s) - MAX_LAG_S
    start_s = max(sub_s[0], main_s[0] - about_s, end_s - MEASURED_S) + MAX_LAG_S
    if end_s - start_s < MIN_MEASURED_S:
        return None
    times = np.arange(start_s, end_s, STEP_S)
    lags = np.arange(-MAX_LAG_S, MAX_LAG_S, STEP_S)
    wide = np.arange(len(times) + len(lags) - 1) * STEP_S + start_s + about_s - MAX_LAG_S
    pattern, searched = np.interp(times, sub_s, sub_sizes), np.interp(wide, main_s, main_sizes)
    found = np.correlate(_standard(searched), _standard(pattern), "valid") / len(times)
    best = int(found.argmax())
    others = found[np.abs(lags - lags[best]) > PEAK_S]
    clear = found[best] >= max(MIN_CORRELATION, others.max() + MIN_LEAD)
    return about_s + float(lags[best]) if clear else None


def _sizes(timeline: Timeline) -> NDArray[np.float64]:
    """Returns times and logarithms of sizes, shape (2, N), in order of time."""
    rows = np.array(sorted(timeline.sizes), np.float64).reshape(-1, 2).T
    return np.stack([rows[0], np.log(rows[1])]) if rows.size else np.zeros((2, 1))


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((values - values.mean()) / (values.std() + 1e-9))


def _median(values: deque[float]) -> float:
    return statistics.median(list(values) or [math.inf])
