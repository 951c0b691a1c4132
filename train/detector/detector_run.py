"""The configuration of a fine-tuning run."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class DetectorRun:
    """Configuration and record of a fine-tuning run: the options of `train detector`.

    If `base` is a network's yaml and there are teachers, training starts from the weights of the
    first. `score_width` freezes everything but the new score branches. `frozen` is the number of
    first layers that are not trained; `max_minutes` bounds the training by fewer epochs.
    """

    data: tuple[str, ...]
    base: str
    out: str
    epochs: int = 20
    imgsz: int = 640
    batch: int = 16
    lr0: float = 1e-3
    seed: int = 0
    plates: tuple[str, ...] = ()
    teachers: tuple[str, ...] = ()
    score_width: int | None = None
    limit: int | None = None
    validate: bool = True
    frozen: int = 0
    max_minutes: float | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that affects the result: all but the output folder."""
        return {key: value for key, value in asdict(self).items() if key != "out"}
