"""The options of `train learn`."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from train.learn.gather import Sources

CHANGEABLE = ("out", "force")
"""Options that may change when a run is resumed."""


@dataclass(frozen=True)
class LearningRun:
    """The options of `train learn`."""

    sources: Sources
    out: Path
    base: Path
    keep: tuple[Path, ...] = ()
    minutes: float = 45.0
    force: bool = False
    trust: bool = False

    @property
    def work(self) -> Path:
        """Folder of the unfinished run, beside the bundle."""
        return self.out.with_name(f"{self.out.name}.learning")

    @property
    def settings(self) -> dict[str, Any]:
        """The options that a resumed run must have as well."""
        return {key: value for key, value in asdict(self).items() if key not in CHANGEABLE}
