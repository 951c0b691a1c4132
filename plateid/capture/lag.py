"""How far the pictures of a camera are behind what happens, and how to catch up."""

import math
import time
from collections.abc import Callable

from av.packet import Packet
from av.stream import Stream

BEHIND_S = 1.5
"""So much later than the promptest of the last minute, a picture is too late to open a gate."""
CAUGHT_UP_S = 0.3
CATCHING_UP_S = 2.0
"""What waited is read in less; who is late for longer is not behind: the camera's clock was set."""
LONGEST_S = 10.0
"""Some cameras never send a key frame, but renew the picture bit by bit."""
WINDOW_S = 30.0
"""The camera's clock and ours part slowly: of the promptest, those of so long ago are forgotten."""


class Lag:
    """Of a live stream whose packets bear the camera's times.

    A box that decodes more slowly than its camera films would show it later and later. Then what
    waits is passed over, up to a key frame, which nothing before it is needed for.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing has come yet."""
        self._clock = clock
        self._since: float | None = None
        self._promptest = [math.inf, math.inf]
        self._window_from = clock()

    def is_to_skip(self, packet: "Packet[Stream]") -> bool:
        """Whether not to decode a packet."""
        now, ticks = self._clock(), packet.dts if packet.pts is None else packet.pts
        if ticks is None or packet.time_base is None:
            return False
        offset_s = now - float(ticks * packet.time_base)
        self._note(offset_s, now)
        behind_s = offset_s - min(self._promptest)
        if self._since is None and behind_s > BEHIND_S:
            self._since = now
        if self._since is None:
            return False
        tried_s = now - self._since
        in_vain = behind_s > CAUGHT_UP_S and tried_s > CATCHING_UP_S
        if (packet.is_keyframe and (in_vain or behind_s <= CAUGHT_UP_S)) or tried_s > LONGEST_S:
            self._since = None
            if in_vain:
                self._promptest = [offset_s, offset_s]
        return self._since is not None

    def _note(self, offset_s: float, now: float) -> None:
        """Keeps the least offset of this window, and that of the one before."""
        if now - self._window_from > WINDOW_S:
            self._promptest = [math.inf, self._promptest[0]]
            self._window_from = now
        self._promptest[0] = min(self._promptest[0], offset_s)
