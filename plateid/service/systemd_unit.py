"""The service as systemd sees it, for those who change what it uses."""

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from signal import Signals

from plateid.errors import ServiceError

POLL_S = 0.5


class Unit:
    """A service of systemd."""

    def __init__(self, name: str) -> None:
        """Asks nobody yet; there may be no such service, nor systemd."""
        self.name = name

    def runs(self, config: Path) -> bool:
        """Whether it is started, or tried again and again, with this configuration file."""
        try:
            state, command = self._show("ActiveState"), self._show("ExecStart")
        except FileNotFoundError:
            return False
        files = {str(config.absolute()), str(config.resolve())}
        return state not in {"", "inactive", "failed"} and any(file in command for file in files)

    def restart(self) -> None:
        """Waits until it says that it is ready.

        Raises:
            ServiceError: It does not get there.
        """
        done = subprocess.run(  # noqa: S603 - a unit's name
            ["systemctl", "restart", self.name],  # noqa: S607 - of this system
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,  # control-C is for us
        )
        if done.returncode:
            raise ServiceError(self.name, f"does not start; journalctl -u {self.name} says why")

    def watch(self, seconds: float, *, unless: Sequence[int]) -> None:
        """Sees that it goes on for so long, without a restart.

        Args:
            seconds: How long.
            unless: Signals that have told this process to end, from now on.

        Raises:
            ServiceError: It ends, or is ended by its watchdog; or there was a signal.
        """
        process, until = self._show("MainPID"), time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(POLL_S)
            if self._show("MainPID") != process:
                raise ServiceError(self.name, f"ended; journalctl -u {self.name} says why")
            if unless:
                raise ServiceError(self.name, f"not watched to the end: {Signals(unless[0]).name}")

    def _show(self, key: str) -> str:
        """A property, empty where there is none."""
        return subprocess.run(  # noqa: S603 - as above
            ["systemctl", "show", "--value", f"--property={key}", self.name],  # noqa: S607 - as above
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
