"""Notices that a live stream is decoded too slowly, and skips packets to catch up."""

import math
import time
from collections.abc import Callable

from av.packet import Packet
from av.stream import Stream

from plateid.backoff import Outage

MAX_LAG_S, LAG_LASTS_S = 1.5, 1.0
"""Lag, and how long it has to last, before packets are skipped: later frames open a gate too late.
What a network pause held back is decoded in less time."""
CAUGHT_UP_S = 0.3
"""Lag at which decoding goes on."""
CATCH_UP_TIMEOUT_S = 2.0
"""Buffered packets are read in less time; a lag that stays longer means a changed camera clock."""
MAX_SKIP_S = 10.0
"""Decoding goes on after this without a key frame: some cameras refresh the image gradually."""
CLOCK_DRIFT = 1e-3
"""Upper bound of the relative drift between the camera's clock and ours."""
RECOVERED_S = 60.0
"""Time without lag after which the outage ends."""


class DecodeLag:
    """The lag of a live stream whose packets carry the camera's timestamps.

    A device that decodes more slowly than its camera records falls further and further behind.
    Then packets are skipped up to the next key frame, which needs no earlier packet. The outage
    starts with the first skipped packet and ends when the lag has not returned for `RECOVERED_S`.
    """

    def __init__(
        self, tick_s: float, outage: Outage, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Starts without lag; `tick_s` is the time base of the timestamps, in seconds."""
        self._tick_s = tick_s
        self._outage = outage
        self._clock = clock
        self._min_offset_s = math.inf
        self._last = clock()
        self._late_since: float | None = None
        self._skipping_since: float | None = None
        self._skipped_at = -math.inf

    def should_skip(self, packet: "Packet[Stream]") -> bool:
        """Returns whether this packet must not be decoded."""
        now, ticks = self._clock(), packet.dts if packet.pts is None else packet.pts
        if ticks is None:
            return False
        offset_s = now - ticks * self._tick_s
        drift_s = CLOCK_DRIFT * (now - self._last)
        self._min_offset_s = min(offset_s, self._min_offset_s + drift_s)
        self._last = now
        lag_s = offset_s - self._min_offset_s
        if self._skipping_since is None:
            self._watch(lag_s, now)
        else:
            self._catch_up(lag_s, now, is_keyframe=packet.is_keyframe)
        return self._skipping_since is not None

    def _watch(self, lag_s: float, now: float) -> None:
        if lag_s <= MAX_LAG_S:
            self._late_since = None
            if now - self._skipped_at > RECOVERED_S:
                self._outage.recovered()
            return
        if self._late_since is None:
            self._late_since = now
        if now - self._late_since > LAG_LASTS_S:
            self._skipping_since = now
            self._outage.failed("slower than the camera's frame rate")

    def _catch_up(self, lag_s: float, now: float, *, is_keyframe: bool) -> None:
        self._skipped_at, skipping_s = now, now - (self._skipping_since or 0.0)
        clock_changed = lag_s > CAUGHT_UP_S and skipping_s > CATCH_UP_TIMEOUT_S
        caught_up = lag_s <= CAUGHT_UP_S
        if (is_keyframe and (clock_changed or caught_up)) or skipping_s > MAX_SKIP_S:
            self._skipping_since = self._late_since = None
            if clock_changed:
                self._min_offset_s += lag_s
