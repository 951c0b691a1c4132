"""A system clock that a test sets while plateid runs; the monotonic clocks go on (libfaketime)."""

from pathlib import Path

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
"""Of Debian's package libfaketime."""
JUMPS = ("+1h", "-2h", "+400d", "-20y", "+0")
"""Offsets from the true time."""


class FakedClock:
    """The clock of processes that run with `environment`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.jump("+0")
        self.environment = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def jump(self, offset: str) -> None:
        """Sets the clock to an offset from the true time, such as "-2h"."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset}\n")
        new.replace(self._file)
