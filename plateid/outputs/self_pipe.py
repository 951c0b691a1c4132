"""How a thread that waits for the network is told that there is something else to do."""

import socket
import threading
from contextlib import suppress


class Wake:
    """Ends another thread's wait: once, or for good."""

    def __init__(self) -> None:
        """Nobody is woken yet."""
        self._stop = threading.Event()
        self._reader, self._writer = socket.socketpair()
        self._reader.settimeout(0)
        self._writer.settimeout(0)

    @property
    def stopping(self) -> bool:
        """Whether the wait was ended for good."""
        return self._stop.is_set()

    def set(self) -> None:
        """Ends the present or the next wait for the network."""
        with suppress(OSError):  # full: it wakes anyhow; closed: nobody waits
            self._writer.send(b"\0")

    def stop(self) -> None:
        """Ends every wait from now on."""
        self._stop.set()
        self.set()

    def pause(self, seconds: float) -> None:
        """Waits until `stop`, this long at the most."""
        self._stop.wait(seconds)

    def fileno(self) -> int:
        """Readable after `set`."""
        return self._reader.fileno()

    def clear(self) -> None:
        """Forgets what `set` did."""
        with suppress(BlockingIOError):
            self._reader.recv(4096)

    def close(self) -> None:
        """Nobody waits any more."""
        self._reader.close()
        self._writer.close()
