"""What the service manager is told, as sd_notify(3) has it: one datagram each time."""

import os
import re
import socket
import time

from plateid.backoff import Backoff, Outage

MAX_STATUS = 500
"""Characters; systemd ignores a message of more than 4096 bytes as a whole."""


class Notifier:
    """The manager's socket; without one (`None`), nobody is told and nothing fails."""

    def __init__(self, address: str | None) -> None:
        """`address` is that of NOTIFY_SOCKET; `@` begins an abstract name (unix(7))."""
        self._address = re.sub("^@", "\0", address or "")
        self._outage = Outage("service manager", Backoff())

    @classmethod
    def from_environment(cls) -> "Notifier":
        """The manager that started this process."""
        return cls(os.environ.get("NOTIFY_SOCKET"))

    def ready(self) -> None:
        """All is started, or reloaded."""
        self._send("READY=1")

    def alive(self, status: str) -> None:
        """Restarts the watchdog's time, and shows one line in `systemctl status`."""
        self._send(f"WATCHDOG=1\nSTATUS={status[:MAX_STATUS]}")

    def status(self, status: str) -> None:
        """Shows one line, and lets the watchdog's time run."""
        self._send(f"STATUS={status[:MAX_STATUS]}")

    def reloading(self) -> None:
        """The configuration is read again; `ready` ends it (systemd.service(5), notify-reload)."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now_us}")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                manager.connect(self._address)
                manager.send(message.encode())
        except OSError as error:  # it may be restarted itself; the work goes on without it
            self._outage.failed(error.strerror or error)
        else:
            self._outage.recovered()
