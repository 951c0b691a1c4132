"""Contact sheets of crops, as a reader sees them, with what each of them says."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from plateid.core.records import Image
from train.reader.crops import augmented, read_plates
from train.synth.rendering import LabelledCrop, render_crop
from train.train_error import TrainError

WIDTH, HEIGHT, LABEL = 200, 72, 18
"""Of a cell, and of the line with its text, in pixels."""
COLUMNS = 8
COUNT = 96
"""Crops of a kind."""


def write_sheet(path: Path, *, beside: Path | None, seed: int) -> None:
    """Draws rendered crops, and under them real ones as training varies them.

    Args:
        path: The picture.
        beside: Folder of labelled pictures, or of plates that are cut out; None: no real ones.
        seed: Of all that is left to chance.

    Raises:
        TrainError: The data cannot be used, or the picture cannot be written.
    """
    rng = np.random.default_rng(seed)
    samples = [render_crop(rng) for _ in range(COUNT)]
    if beside:
        plates = read_plates([beside], two_lines=True)[0]
        samples += [augmented(rng, plates[rng.integers(len(plates))]) for _ in range(COUNT)]
    try:
        written = cv2.imwrite(str(path), draw_sheet(samples))
    except cv2.error as error:  # a suffix that names no format
        raise TrainError(f"{path}: {error.err}") from error
    if not written:
        raise TrainError(f"{path}: cannot be written")


def draw_sheet(samples: Iterable[LabelledCrop]) -> Image:
    """Crops in rows, each as large as its cell allows."""
    cells = [_cell(sample) for sample in samples]
    cells += [np.zeros_like(cells[0])] * (-len(cells) % COLUMNS)
    rows = [np.hstack(cells[i : i + COLUMNS]) for i in range(0, len(cells), COLUMNS)]
    return np.vstack(rows)


def _cell(sample: LabelledCrop) -> Image:
    cell = np.zeros((HEIGHT + LABEL, WIDTH, 3), np.uint8)
    height, width = sample.image.shape[:2]
    scale = min(WIDTH / width, HEIGHT / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    cell[: size[1], : size[0]] = cv2.resize(sample.image, size)
    said = f"{sample.region} {sample.text or '-'}"
    at = (2, HEIGHT + LABEL - 5)
    cv2.putText(cell, said, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return cell
