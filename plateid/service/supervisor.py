"""Threads whose death is noticed: the first exception ends the process, and systemd starts it again."""

import threading
from collections.abc import Callable


class Supervisor:
    """Starts threads and waits for a reason to stop."""

    def __init__(self) -> None:
        """No threads yet."""
        self.stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None

    def start(self, name: str, target: Callable[[], None]) -> None:
        """Runs `target` in a thread of its own; if it raises, `wait` will raise the same."""
        thread = threading.Thread(target=self._watched, args=(target,), name=name, daemon=True)
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

    def _watched(self, target: Callable[[], None]) -> None:
        try:
            target()
        except BaseException as error:  # raised again by join, in the main thread
            self._failure = self._failure or error
            self.stopping.set()
