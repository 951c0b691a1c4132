"""Threads whose death is noticed: the first exception ends the process."""

import queue
import threading
import time
from collections.abc import Callable


class Supervisor:
    """Starts threads and waits for a reason to stop."""

    def __init__(self) -> None:
        """No threads yet; from now on the death of any thread of the process is noticed."""
        self._stop_requests: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None
        threading.excepthook = self._died

    def start(self, name: str, target: Callable[[], None]) -> None:
        """Runs `target` in a thread of its own."""
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Lets `wait` return; safe in a signal handler, where a lock would not be."""
        self._stop_requests.put(None)

    def wait(self, *, timeout_s: float) -> bool:
        """Blocks for so long, or until `stop` is called or a thread has died; whether it did."""
        try:
            self._stop_requests.get(timeout=timeout_s)
        except queue.Empty:
            return False
        return True

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
