"""systemd: messages to the service manager (sd_notify), and units (systemctl)."""

import re
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from signal import Signals

from plateid.backoff import Backoff, Outage
from plateid.config.load import FILE, SERVICE_FOLDER, STATE_FOLDER
from plateid.errors import ServiceError

MAX_STATUS = 500
"""Maximum length of a status line, characters; systemd ignores messages above 4096 bytes."""
EXTEND_S = 60.0
"""Time by which each message of a long start puts off its time-out, seconds."""
POLL_S = 0.5
"""Interval at which a watched unit is polled, seconds."""


class Notifier:
    """Sends state changes as sd_notify(3) specifies, one datagram each; none without an address."""

    def __init__(self, address: str) -> None:
        """Takes the value of NOTIFY_SOCKET; `@` begins an abstract name (unix(7))."""
        self._address = re.sub("^@", "\0", address)
        self._outage = Outage("service manager", Backoff())

    def ready(self) -> None:
        """Reports the end of the start or of a reload."""
        self._send("READY=1")

    def starting(self, status: str) -> None:
        """Allows another EXTEND_S for a long start; sets the status line."""
        limit_us = round(1e6 * EXTEND_S)
        self._send(f"EXTEND_TIMEOUT_USEC={limit_us}\nWATCHDOG=1\nSTATUS={status[:MAX_STATUS]}")

    def alive(self, status: str) -> None:
        """Resets the watchdog's timer, and sets the line that `systemctl status` shows."""
        self._send(f"WATCHDOG=1\nSTATUS={status[:MAX_STATUS]}")

    def status(self, status: str) -> None:
        """Sets the status line only; the watchdog's timer runs on."""
        self._send(f"STATUS={status[:MAX_STATUS]}")

    def reloading(self) -> None:
        """Reports the start of a reload; `ready` ends it (systemd.service(5), notify-reload)."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now_us}")

    def stopping(self) -> None:
        """Reports the start of the stop."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        unix = socket.AF_UNIX, socket.SOCK_DGRAM
        with self._outage.noted(OSError), socket.socket(*unix) as manager:  # it may be restarting
            manager.connect(self._address)
            manager.send(message.encode())


class Unit:
    """A service unit of systemd, which may not exist."""

    def __init__(self, name: str) -> None:
        """Takes the unit's name; calls no program yet."""
        self.name = name

    def runs(self, config: Path) -> bool:
        """Whether the unit is active or restarting with this configuration file."""
        try:
            state, command = self._property("ActiveState"), self._property("ExecStart")
        except FileNotFoundError:
            return False
        files = {str(config.absolute()), str(config.resolve())}
        if config.absolute().parent == STATE_FOLDER:  # written by the service's web UI
            files.add(str(SERVICE_FOLDER / FILE))
        return state not in {"", "inactive", "failed"} and any(file in command for file in files)

    def restart(self) -> None:
        """Restarts the unit and waits until it is ready; raises ServiceError if it is not."""
        done = _systemctl("restart", self.name)
        if done.returncode:
            raise ServiceError(self.name, f"does not start: see journalctl -u {self.name}")

    def watch(self, seconds: float, *, unless: Sequence[int]) -> None:
        """Raises ServiceError if the unit ends within some time, or `unless` gets a signal."""
        process, until = self._property("MainPID"), time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(POLL_S)
            if self._property("MainPID") != process:
                raise ServiceError(self.name, f"ended: see journalctl -u {self.name}")
            if unless:
                raise ServiceError(self.name, f"check interrupted by {Signals(unless[0]).name}")

    def _property(self, key: str) -> str:
        return _systemctl("show", "--value", f"--property={key}", self.name).stdout.strip()


def _systemctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs systemctl, again if a signal ends it.

    systemd ends all processes of the unit when it stops an install, which must undo its trial.
    """
    while True:
        done = subprocess.run(  # noqa: S603 - the arguments are a verb and a unit's name
            ["systemctl", *arguments],  # noqa: S607 - the one of this system
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,  # control-C must not reach systemctl
        )
        if done.returncode >= 0:
            return done
