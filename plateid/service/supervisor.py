"""Threads whose death or standstill is noticed: the first exception ends the process."""

import enum
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Request(enum.Enum):
    """What the main thread is asked to do."""

    STOP = enum.auto()
    RELOAD = enum.auto()


class Supervisor:
    """Starts threads, sees that they move, and waits for a reason to stop."""

    def __init__(self) -> None:
        """No threads yet; from now on the death of any thread of the process is noticed."""
        self._requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._working_since: dict[str, float] = {}
        self._failure: BaseException | None = None
        threading.excepthook = self._died

    def start(self, name: str, target: Callable[[], None]) -> None:
        """Runs `target` in a thread of its own."""
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    @contextmanager
    def working(self) -> Iterator[None]:
        """The calling thread's heartbeat: one piece of work, which ends, unless it hangs."""
        name = threading.current_thread().name
        self._working_since[name] = time.monotonic()
        yield
        del self._working_since[name]

    def hanging(self, limit_s: float) -> list[str]:
        """The threads that have been at one piece of work for longer than this."""
        since = time.monotonic() - limit_s
        return sorted(name for name, at in list(self._working_since.items()) if at < since)

    def stop(self) -> None:
        """Lets `wait` return; safe in a signal handler, where a lock would not be."""
        self._requests.put(Request.STOP)

    def reload(self) -> None:
        """As `stop`, to ask for another look at the configuration."""
        self._requests.put(Request.RELOAD)

    def wait(self, *, timeout_s: float) -> Request | None:
        """Blocks for so long, or until there is a request; a thread that dies requests a stop."""
        try:
            return self._requests.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def join(self, *, timeout_s: float) -> None:
        """Waits for the threads to end, no longer than this for all of them.

        Raises:
            BaseException: What the first of them died of, if one did.
        """
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._failure is not None:
            raise self._failure

    def _died(self, death: threading.ExceptHookArgs) -> None:
        self._failure = self._failure or death.exc_value
        self.stop()
