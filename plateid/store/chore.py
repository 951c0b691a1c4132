"""Work on the store that is due periodically and is done in steps."""

import time
from collections.abc import Callable, Iterator

from plateid.backoff import Backoff, Outage
from plateid.errors import StoreError

STEP_S = 0.2
"""Longest time of one call, seconds, so that no other thread waits long for the store."""


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
