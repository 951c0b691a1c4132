"""Starts threads and detects those that died or hang: systemd then restarts the process."""

import enum
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import structlog

from plateid.service.systemd import Notifier

HANGS_S = 120.0
"""Time after which a thread hangs, seconds. No step, waits included, takes that long."""
log = structlog.get_logger()


class Request(enum.Enum):
    """A request to the main thread."""

    STOP = enum.auto()
    RELOAD = enum.auto()
    RESTART = enum.auto()


class Supervisor:
    """Starts the threads of the process and passes requests to the main thread."""

    def __init__(self) -> None:
        """Installs a hook: an uncaught exception in any thread of the process requests a stop."""
        self._requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._working_since: dict[str, float] = {}
        self._failure: BaseException | None = None
        threading.excepthook = self._on_exception

    def start(self, name: str, target: Callable[[], None]) -> None:
        """Runs `target` in a new thread."""
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Marks one piece of work of the calling thread, so that `hanging` can detect a hang."""
        name = threading.current_thread().name
        self._working_since[name] = time.monotonic()
        yield
        del self._working_since[name]

    def hanging(self, limit_s: float) -> list[str]:
        """Returns the names of threads whose present piece of work takes longer than `limit_s`."""
        since = time.monotonic() - limit_s
        return sorted(name for name, at in list(self._working_since.items()) if at < since)

    def stop(self) -> None:
        """Requests a stop. Takes no lock, so signal handlers may call it."""
        self._requests.put(Request.STOP)

    def reload(self) -> None:
        """Requests a reload of the configuration. Signal handlers may call it."""
        self._requests.put(Request.RELOAD)

    def restart(self) -> None:
        """Requests that a new service with the present configuration replaces this one."""
        self._requests.put(Request.RESTART)

    def wait(self, *, timeout_s: float) -> Request | None:
        """Waits for a request; None after `timeout_s` without one."""
        try:
            return self._requests.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def join(self, *, timeout_s: float) -> None:
        """Waits for all threads, `timeout_s` in total; raises the first exception of a thread."""
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._failure is not None:
            raise self._failure

    def _on_exception(self, uncaught: threading.ExceptHookArgs) -> None:
        self._failure = self._failure or uncaught.exc_value
        self.stop()


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
