"""The configuration of a fine-tuning run."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class DetectorRun:
    """Configuration, command line and record of a fine-tuning run.

    Attributes:
        data: Folders of labelled images.
        base: Where training starts: weights of an ultralytics YOLO detector, a network's yaml, or
            the name or path of a bundle with a YOLOv8n.
        out: Folder of the run.
        epochs: Passes over the training images.
        imgsz: Longest side of the training images in pixels.
        batch: Images per step.
        lr0: Peak learning rate.
        seed: Seed of all random numbers.
        plates: Folders of cropped plates to paste into the training images.
        teachers: Detectors (weights or bundles) to distil from; the labels are not used then. If
            `base` is a yaml, training starts from the first teacher's weights.
        score_width: Channels of new score branches; everything else stays frozen. None: the
            branches keep their width and everything is trained.
        limit: Number of training images to use; None: all.
        validate: Whether to validate after each epoch; otherwise after the last one only.
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

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that affects the result: all but the output folder."""
        return {key: value for key, value in asdict(self).items() if key != "out"}
