"""Groups of plates that `train evaluate --leave-out` keeps from a training."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PlateGroup:
    """Plates with one of these properties."""

    origins: tuple[str, ...] = ()  # countries of rendered plates, and names of folders
    digits: bool = False  # plates without a letter
    two_lines: bool = False

    def holds(self, origin: str, text: str, lines: int) -> bool:
        """Returns whether a plate belongs to the group."""
        is_digits, is_two_line = self.digits and text.isdigit(), self.two_lines and lines > 1
        return origin in self.origins or is_digits or is_two_line


GROUPS = {
    "romania": PlateGroup(("ro", "romanian")),
    "usa": PlateGroup(("us", "us-crops")),
    "brazil": PlateGroup(("br",)),
    "digits": PlateGroup(digits=True),
    "two-line": PlateGroup(two_lines=True),
}
"""The groups by name. Folders of several countries, such as kaggle, are in no country's group."""


@dataclass(frozen=True)
class LeaveOutRun:
    """Configuration and command line; see `train evaluate --help`."""

    groups: tuple[str, ...]
    folders: tuple[Path, ...]
    out: Path
    minutes: float
    store: Path | None = None
    base: Path | None = None
