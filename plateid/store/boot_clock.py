"""The steady clock across restarts of plateid, as long as the device stays up."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from plateid.core.clock import SteadyClock
from plateid.files import replace_text

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""A random number that the kernel makes at each boot."""


def boot_file(store: Path) -> Path:
    """Returns the file beside the store that holds the boot and the time of `uptime` zero."""
    return store.with_name(f"{store.name}.boot")


def continue_clock(clock: SteadyClock, store: Path) -> None:
    """Makes the clock go on from the first start since boot, so that a step meanwhile shows.

    Without a readable file, or after a reboot, the clock stays as it is.
    """
    file, boot = boot_file(store), ""
    with suppress(OSError, ValueError, OverflowError):
        boot = BOOT_ID.read_text().strip()
        before, booted_at = file.read_text(encoding="ascii").split()
        if before == boot:
            clock.booted_at = datetime.fromisoformat(booted_at).astimezone(UTC)
            return
    with suppress(OSError):
        replace_text(file, f"{boot} {clock.booted_at.isoformat()}\n")
