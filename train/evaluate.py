"""How well a bundle finds and reads plates, through the code that runs on the device."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plateid.capture.pictures import read_picture
from plateid.config import ModelsConfig
from plateid.core.geometry import iou
from plateid.core.reading import read_once
from plateid.core.records import Detection
from plateid.models.networks import Networks
from train.errors import TrainError

FOUND_IOU = 0.5


@dataclass(frozen=True)
class Truth:
    """One labelled plate of a picture."""

    picture: Path
    box: tuple[float, float, float, float]
    text: str


@dataclass(frozen=True)
class Score:
    """Shares of the labelled plates of one folder.

    Attributes:
        found: The best box covers it with an IoU of at least FOUND_IOU.
        exact: Found and read as it is.
        folded: Found and read, with O as 0 and I as 1.
        mean_iou: Of those found.
    """

    plates: int
    found: float
    exact: float
    folded: float
    mean_iou: float


def evaluate(folder: Path, bundle: Path) -> Score:
    """Detects and reads every labelled plate of a folder.

    Raises:
        TrainError: The folder has no labels.
        PlateidError: A picture or the bundle cannot be read.
    """
    networks = Networks(ModelsConfig(bundle=bundle))
    detector, reader = networks.detector(), networks.reader()
    overlaps, exact, folded = [], [], []
    for truth in _truths(folder):
        picture = read_picture(truth.picture)
        overlap, best = _best(truth, detector.detect(picture))
        text = read_once(reader.read(picture, [best.box])[0]).plate if best else ""
        overlaps.append(overlap)
        exact.append(bool(best) and text == truth.text)
        folded.append(bool(best) and fold(text) == fold(truth.text))
    found = [overlap for overlap in overlaps if overlap > 0]
    return Score(
        plates=len(overlaps),
        found=len(found) / len(overlaps),
        exact=float(np.mean(exact)),
        folded=float(np.mean(folded)),
        mean_iou=float(np.mean(found)) if found else 0.0,
    )


def fold(text: str) -> str:
    """O and I as the digits that they cannot be told from."""
    return text.replace("O", "0").replace("I", "1")


def _truths(folder: Path) -> list[Truth]:
    labels = folder / "labels.csv"
    if not labels.is_file():
        raise TrainError(f"{labels}: no such file")
    with labels.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["x1"] and row["text"]]
    if not rows:
        raise TrainError(f"{labels}: no plate with a text")
    return [_truth(folder, row) for row in rows]


def _truth(folder: Path, row: dict[str, str]) -> Truth:
    x1, y1, x2, y2 = (float(row[key]) for key in ("x1", "y1", "x2", "y2"))
    return Truth(folder / "images" / row["image"], (x1, y1, x2, y2), row["text"])


def _best(truth: Truth, detections: list[Detection]) -> tuple[float, Detection | None]:
    """The surest detection that covers the plate, and how well; 0 and None when there is none."""
    boxes = np.array([d.box for d in detections], np.float32).reshape(-1, 4)
    overlaps = iou(np.array([truth.box], np.float32), boxes)[0]
    for overlap, detection in zip(overlaps, detections, strict=True):
        if overlap >= FOUND_IOU:
            return float(overlap), detection
    return 0.0, None
