"""Draws a contact sheet: training crops in a grid, each with its text."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from plateid.core import drawing
from plateid.core.records import Image
from train.reader.real_plates import augmented, read_plates
from train.synth.rendering import LabelledCrop, render_crop
from train.train_error import TrainError

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
    return drawing.contact_sheet((c.image, [f"{c.region} {c.text or '-'}"]) for c in crops)
