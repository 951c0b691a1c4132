"""Plates, reads and data sets with known content."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from plateid.capture.video_writer import VideoWriter
from plateid.core.records import PlateRead
from plateid.core.text import CHARSET
from train.dataset.formats.image_labels import LabelledBox
from train.evaluation.image_results import ImageResult, LabelledPlate
from train.evaluation.reader_accuracy import ReadResult, still_image_reading

PLATE = "220,120,420,200"
"""Box, 80 pixels high, that a detector finds with (32, 16, 20, 8) in an image of 640x320."""
ELSEWHERE = "0,0,50,20"


def read(text: str, score: float = 0.9, *, height: float = 30.0) -> PlateRead:
    """Returns a sharp read in which each character has this score; the others share the rest."""
    rows = np.full((len(text), 1 + len(CHARSET)), (1 - score) / len(CHARSET), np.float32)
    rows[range(len(text)), [1 + CHARSET.index(character) for character in text]] = score
    return PlateRead(rows, 1.0, height)


def plate(text: str, crop: PlateRead | None = None, **changes) -> LabelledPlate:
    """Returns a plate of 200 x 40 pixels, detected (0.9, threshold 0.3) and read correctly."""
    labels = LabelledBox((0, 0, 200, 40), text=text, **changes.pop("labels", {}))
    crop = crop or read(text)
    every = {"found": crop, "score": 0.9, **changes}
    every["found"] = every["found"] and (every["found"],)
    made = LabelledPlate("data", Path("a.png"), labels, labels.xyxy, 100.0, None, (crop,))
    return replace(made, **every).detected_at(0.3)


def result_of(text: str, reading: str, score: float = 0.9) -> ReadResult:
    """Returns a plate and its reading."""
    made = plate(text, read(reading, score))
    return ReadResult(made, still_image_reading(made.crop))


def image_result(found: list, truths: list, path: Path = Path("a.png")) -> ImageResult:
    """Returns the result of an image; `found` has rows of x1, y1, x2, y2, score."""
    rows = np.array(found, np.float32).reshape(-1, 5)
    boxes = np.array(truths, np.float32).reshape(-1, 4)
    return ImageResult("data", path, 100.0, 0.5, rows[:, :4], rows[:, 4], boxes)


def folder(
    path: Path, *rows: str, level: int = 200, header: str = "image,x1,y1,x2,y2,text"
) -> Path:
    """Writes a data set. A row begins with the image's name."""
    (path / "images").mkdir(parents=True)
    for name in {row.split(",")[0] for row in rows}:
        rng = np.random.default_rng(list(f"{path.name}/{name}".encode()))
        blocks = rng.integers(-30, 31, (8, 16, 3))
        image = cv2.resize((level + blocks).astype(np.uint8), (640, 320))
        cv2.imwrite(str(path / "images" / name), image)
    (path / "labels.csv").write_text("\n".join([header, *rows]))
    return path


def write_video(path: Path, frames: int) -> Path:
    """Writes a grey video."""
    with VideoWriter(path) as writer:
        for frame in range(frames):
            writer.write(np.full((64, 128, 3), 90, np.uint8), frame / 10)
    return path
