"""Time that no step of the system clock changes, for tracking and for ages."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

MIN_STEP = timedelta(seconds=0.1)
"""Smallest change that counts as a step. Time services slew smaller ones, and slew both clocks."""
TRUSTED_AFTER = timedelta(days=1)
"""How long a step forward must last before stored data age by it. A smaller step never matters,
because ages are days."""


def uptime() -> timedelta:
    """Returns the time since boot, with suspend (CLOCK_BOOTTIME)."""
    return timedelta(microseconds=time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000)


class SteadyClock:
    """UTC as if nothing had set the clock since the start. Thread-safe; `booted_at` is the boot."""

    def __init__(
        self,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        since_boot: Callable[[], timedelta] = uptime,
    ) -> None:
        """Starts with the present time of `wall`, the system clock; `since_boot` never jumps."""
        self._wall = wall
        self._since_boot = since_boot
        self.booted_at = wall() - since_boot()
        self._step = self._trusted = timedelta()
        self._ahead_since: timedelta | None = None

    def now(self) -> datetime:
        """Returns the steady time."""
        return self.booted_at + self._since_boot()

    def step(self) -> timedelta:
        """Returns how far the system clock was set forward; the same value until its next step."""
        before = self._since_boot()
        step = self._wall() - (self.booted_at + before)
        was_paused = self._since_boot() - before > MIN_STEP / 2  # then the difference is wrong
        if abs(step - self._step) > MIN_STEP and not was_paused:
            self._step = step
        return self._step

    def is_trusted(self) -> bool:
        """Returns whether the system clock may age stored data.

        A step forward by more than a day could delete everything, so it has to last a day.
        """
        step = self.step()
        if step - self._trusted <= TRUSTED_AFTER:
            self._trusted, self._ahead_since = min(self._trusted, step), None
            return True
        self._ahead_since = self._ahead_since or self._since_boot()
        if self._since_boot() - self._ahead_since < TRUSTED_AFTER:
            return False
        self._trusted = step
        return True

    def ago(self, age_s: float) -> float:
        """Returns the `time.time()` of that age; 0, older than all, while a jump is not trusted."""
        return time.time() - age_s if self.is_trusted() else 0.0


CLOCK = SteadyClock()
"""The clock of this process."""
