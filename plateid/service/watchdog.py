"""The watchdog: systemd restarts the process if one of its threads hangs."""

import time
from collections.abc import Mapping

import structlog

from plateid.service.supervisor import Supervisor
from plateid.service.systemd import Notifier

HANGS_S = 120.0
"""Time after which a thread counts as hanging, seconds. No frame and no other step, waits
included, takes that long."""
log = structlog.get_logger()


class Watchdog:
    """Resets the service manager's watchdog timer as long as no thread hangs."""

    def __init__(self, notifier: Notifier, supervisor: Supervisor) -> None:
        self._notifier = notifier
        self._supervisor = supervisor
        self._hanging: list[str] = []

    def check(self, status: str, steps: Mapping[str, float]) -> None:
        """Resets the timer, or reports the threads that hang. Call it periodically.

        `steps` holds the start of the present step (`time.monotonic()`) of each thread that the
        supervisor does not track.
        """
        since = time.monotonic() - HANGS_S
        hanging = self._supervisor.hanging(HANGS_S)
        hanging += [name for name, step_at in steps.items() if step_at < since]
        if hanging and hanging != self._hanging:
            log.error("threads hang", threads=", ".join(hanging))
        self._hanging = hanging
        if hanging:
            self._notifier.status(f"hangs: {', '.join(hanging)}")
        else:
            self._notifier.alive(status)
