"""The service manager's watchdog: it ends a process in which a thread hangs."""

import time
from collections.abc import Mapping

import structlog

from plateid.service.supervisor import Supervisor
from plateid.service.systemd_notify import Notifier

HANGS_S = 120.0
"""No frame takes a worker that long, nor does any step of another thread, waits included."""
log = structlog.get_logger()


class Watchdog:
    """Restarts the manager's time while every thread moves, and only then."""

    def __init__(self, notifier: Notifier, supervisor: Supervisor) -> None:
        """Says nothing yet."""
        self._notifier = notifier
        self._supervisor = supervisor
        self._hanging: list[str] = []

    def tell(self, status: str, steps: Mapping[str, float]) -> None:
        """One sign of life with a line of status, or the names of the threads that hang.

        Args:
            status: For people.
            steps: When each thread that is not the supervisor's began its last step, as
                `time.monotonic()`.
        """
        since = time.monotonic() - HANGS_S
        hanging = self._supervisor.hanging(HANGS_S)
        hanging += [name for name, moved_at in steps.items() if moved_at < since]
        if hanging and hanging != self._hanging:
            log.error("threads hang", threads=", ".join(hanging))
        self._hanging = hanging
        if hanging:
            self._notifier.status(f"hangs: {', '.join(hanging)}")
        else:
            self._notifier.alive(status)
