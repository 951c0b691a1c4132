"""How far the pictures of a camera are behind what happens, and how to catch up."""

import math
import time
from collections.abc import Callable

from av.packet import Packet
from av.stream import Stream

from plateid.backoff import Outage

BEHIND_S, LASTS_S = 1.5, 1.0
"""So much later than the promptest, and for so long, a picture is too late to open a gate. What
waited through a pause of the network is decoded in less."""
CAUGHT_UP_S = 0.3
CATCHING_UP_S = 2.0
"""What waits is read in less; who is late for longer is not behind: the camera's clock was set."""
LONGEST_S = 10.0
"""Some cameras never send a key frame, but renew the picture bit by bit."""
DRIFT = 1e-3
"""More than the camera's clock and ours part."""
IN_TIME_S = 60.0
"""After so long in time, one that was decoded too slowly is not any more."""


class Lag:
    """Of a live stream whose packets bear the camera's times.

    A box that decodes more slowly than its camera films would show it later and later. Then what
    waits is passed over, up to a key frame, which nothing before it is needed for.
    """

    def __init__(
        self, tick_s: float, outage: Outage, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Nothing has come yet.

        Args:
            tick_s: The unit of the camera's times.
            outage: Told when something is passed over.
            clock: Ours.
        """
        self._tick_s = tick_s
        self._outage = outage
        self._clock = clock
        self._promptest = math.inf
        self._last = clock()
        self._late_since: float | None = None
        self._skips_since: float | None = None
        self._skipped_at = -math.inf

    def is_to_skip(self, packet: "Packet[Stream]") -> bool:
        """Whether not to decode a packet."""
        now, ticks = self._clock(), packet.dts if packet.pts is None else packet.pts
        if ticks is None:
            return False
        offset_s = now - ticks * self._tick_s
        self._promptest = min(offset_s, self._promptest + DRIFT * (now - self._last))
        self._last = now
        behind_s = offset_s - self._promptest
        if self._skips_since is None:
            self._notice(behind_s, now)
        else:
            self._catch_up(behind_s, now, is_keyframe=packet.is_keyframe)
        return self._skips_since is not None

    def _notice(self, behind_s: float, now: float) -> None:
        if behind_s <= BEHIND_S:
            self._late_since = None
            if now - self._skipped_at > IN_TIME_S:
                self._outage.recovered()
            return
        if self._late_since is None:
            self._late_since = now
        if now - self._late_since > LASTS_S:
            self._skips_since = now
            self._outage.failed("more slowly than the camera films")

    def _catch_up(self, behind_s: float, now: float, *, is_keyframe: bool) -> None:
        self._skipped_at, tried_s = now, now - (self._skips_since or 0.0)
        in_vain = behind_s > CAUGHT_UP_S and tried_s > CATCHING_UP_S
        if (is_keyframe and (in_vain or behind_s <= CAUGHT_UP_S)) or tried_s > LONGEST_S:
            self._skips_since = self._late_since = None
            if in_vain:
                self._promptest += behind_s
