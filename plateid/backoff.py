"""Retries with back-off, log lines at the start and end of an outage, and periodic chores."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from plateid.errors import StoreError, reason_of

outage_counts: Counter[str] = Counter()
"""Number of outages since the start, by what failed."""
STEP_S = 0.2
"""Longest time of one call of a chore, seconds: other threads wait for the store."""
log = structlog.get_logger()


@dataclass(frozen=True)
class Backoff:
    """Waits with full jitter (Brooker 2015) up to `first_s`, doubled by failures up to `cap_s`."""

    first_s: float = 1.0
    cap_s: float = 60.0

    def delay_s(self, failures: int) -> float:
        """Returns a random wait after this many consecutive failures (1 or more)."""
        longest_s = min(self.cap_s, self.first_s * 2 ** min(failures - 1, 30))
        return random.uniform(0, longest_s)  # noqa: S311 nothing secret


class Outage:
    """The consecutive failures of one thing; not thread-safe."""

    def __init__(self, what: str, backoff: Backoff) -> None:
        """Starts without failure; `what` names the thing in the log."""
        self._what = what
        self._backoff = backoff
        self._failures = 0
        self._since = self._next_try = 0.0
        self._reasons: set[str] = set()

    @property
    def wait_s(self) -> float:
        """Seconds until the next try; 0 if it is due, or if nothing failed."""
        return max(0.0, self._next_try - time.monotonic())

    @contextmanager
    def noted(self, kind: type[Exception]) -> Iterator[None]:
        """Notes whether a block fails with a kind of error, which it does not raise."""
        try:
            yield
        except kind as error:
            self.failed(reason_of(error))
        else:
            self.recovered()

    def failed(self, reason: object) -> None:
        """Delays the next try; logs each reason of an outage once."""
        now = time.monotonic()
        if not self._failures:
            self._since = now
            outage_counts[self._what] += 1
        self._failures += 1
        self._next_try = now + self._backoff.delay_s(self._failures)
        if str(reason) not in self._reasons:
            self._reasons.add(str(reason))
            log.warning(
                "outage starts" if self._failures == 1 else "outage goes on",
                what=self._what,
                reason=str(reason),
            )

    def recovered(self) -> None:
        """Ends the outage, if there is one."""
        if self._failures:
            lasted_s = round(time.monotonic() - self._since, 1)
            log.info("outage ends", what=self._what, lasted_s=lasted_s, failures=self._failures)
        self._failures, self._next_try = 0, 0.0
        self._reasons.clear()


class Chore:
    """Work that is due at the start and periodically. All calls come from one thread."""

    def __init__(
        self,
        name: str,
        steps: Callable[[], Iterator[None]],
        *,
        interval_s: float,
        backoff: Backoff | None = None,
    ) -> None:
        """`steps` does the work, yields after each step, and is retried after a StoreError."""
        self._steps = steps
        self._interval_s = interval_s
        self._outage = Outage(name, backoff or Backoff())
        self._running: Iterator[None] | None = None
        self._due_at = 0.0

    def check(self) -> None:
        """Does a part of the work if it is due. Call it every few seconds."""
        if time.monotonic() >= self._due_at and not self._outage.wait_s:
            self.run()

    def run(self) -> None:
        """Does a part of the work now."""
        until = time.monotonic() + STEP_S
        self._running = self._running or self._steps()
        try:
            for _ in self._running:
                if time.monotonic() >= until:
                    return
            self._outage.recovered()
            self._due_at = time.monotonic() + self._interval_s
        except StoreError as error:
            self._outage.failed(error)
        self._running = None
