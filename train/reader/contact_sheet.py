"""Draws a contact sheet: training crops in a grid, each with its text."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from plateid.core.records import Image
from train.reader.real_plates import augmented, read_plates
from train.synth.rendering import LabelledCrop, render_crop
from train.train_error import TrainError

WIDTH, HEIGHT, LABEL = 200, 72, 18
"""Size of a cell, and height of the text line below it, in pixels."""
COLUMNS = 8
"""Cells in a row."""
COUNT = 96
"""Rendered crops on the sheet, and real ones."""


def write_contact_sheet(path: Path, *, beside: Path | None, seed: int) -> None:
    """Draws rendered crops and, below, augmented real ones; raises TrainError if it cannot."""
    rng = np.random.default_rng(seed)
    crops = [render_crop(rng) for _ in range(COUNT)]
    if beside:
        plates, _ = read_plates([beside])
        crops += [augmented(rng, plates[rng.integers(len(plates))]) for _ in range(COUNT)]
    try:
        written = cv2.imwrite(str(path), contact_sheet(crops))
    except cv2.error as error:  # not the suffix of an image format
        raise TrainError(f"{path}: {error.err}") from error
    if not written:
        raise TrainError(f"{path}: cannot be written")


def contact_sheet(crops: Iterable[LabelledCrop]) -> Image:
    """Returns a grid of crops, each scaled to fit its cell."""
    cells = [_cell(crop) for crop in crops]
    cells += [np.zeros_like(cells[0])] * (-len(cells) % COLUMNS)
    rows = [np.hstack(cells[i : i + COLUMNS]) for i in range(0, len(cells), COLUMNS)]
    return np.vstack(rows)


def _cell(crop: LabelledCrop) -> Image:
    cell = np.zeros((HEIGHT + LABEL, WIDTH, 3), np.uint8)
    height, width = crop.image.shape[:2]
    scale = min(WIDTH / width, HEIGHT / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    cell[: size[1], : size[0]] = cv2.resize(crop.image, size)
    label = f"{crop.region} {crop.text or '-'}"
    at = (2, HEIGHT + LABEL - 5)
    cv2.putText(cell, label, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return cell
