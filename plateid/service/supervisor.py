"""Threads whose death is noticed: the first exception ends the process."""

import threading
from collections.abc import Callable


class Supervisor:
    """Starts threads and waits for a reason to stop."""

    def __init__(self) -> None:
        """No threads yet; from now on the death of any thread of the process is noticed."""
        self.stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None
        threading.excepthook = self._died

    def start(self, name: str, target: Callable[[], None]) -> None:
        """Runs `target` in a thread of its own."""
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Lets `wait` return; safe in a signal handler."""
        self.stopping.set()

    def wait(self) -> None:
        """Blocks until `stop` is called or a thread has died of an exception."""
        self.stopping.wait()

    def join(self, *, timeout_s: float) -> None:
        """Waits for the threads to end; raises what the first of them died of, if one did."""
        for thread in self._threads:
            thread.join(timeout_s)
        if self._failure is not None:
            raise self._failure

    def _died(self, death: threading.ExceptHookArgs) -> None:
        self._failure = self._failure or death.exc_value
        self.stopping.set()
