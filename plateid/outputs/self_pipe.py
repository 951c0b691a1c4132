"""Ends the wait of a thread for its sockets."""

import socket
import threading
from contextlib import suppress


class SelfPipe:
    """Ends another thread's wait, once or for good (the self-pipe trick)."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._reader, self._writer = socket.socketpair()
        self._reader.settimeout(0)
        self._writer.settimeout(0)

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def wake(self) -> None:
        """Ends the present or the next wait."""
        with suppress(OSError):  # full: the thread wakes up anyhow; closed: no thread waits
            self._writer.send(b"\0")

    def stop(self) -> None:
        """Ends every wait from now on."""
        self._stop.set()
        self.wake()

    def pause(self, seconds: float) -> None:
        """Waits until `stop`, at most this long."""
        self._stop.wait(seconds)

    def fileno(self) -> int:
        """Returns the descriptor that is readable after `wake`, for `select`."""
        return self._reader.fileno()

    def clear(self) -> None:
        """Makes the next wait last again."""
        with suppress(BlockingIOError):
            self._reader.recv(4096)

    def close(self) -> None:
        """Closes the sockets."""
        self._reader.close()
        self._writer.close()
