"""Plate accuracy of a reader on held-out plates, during training and after quantisation."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from plateid.core.text import best_text, ctc_positions, fold
from plateid.models.bundle import ReaderSpec
from plateid.models.onnx_reader import to_reader_input
from train.reader.real_plates import RealPlate, by_source, framed

Array = NDArray[np.float32]


def accuracy_by_source(
    network: nn.Module, spec: ReaderSpec, plates: list[RealPlate]
) -> dict[str, float]:
    """Returns `plate_accuracy_folded` of each source, read in the true boxes."""

    def read(crop: Array) -> Array:
        probabilities: Array = network(torch.from_numpy(crop))[0][0].softmax(dim=1).numpy()
        return probabilities

    network.eval()
    with torch.inference_mode():
        return {
            group[0].source: round(float(np.mean(correct_reads(read, spec, group))), 4)
            for group in by_source(plates)
        }


def correct_reads(
    read: Callable[[Array], Array], spec: ReaderSpec, plates: Iterable[RealPlate]
) -> list[bool]:
    """Returns whether each plate is read correctly (O/0- and I/1-insensitive) in its true box.

    `read` maps a crop, shape (1, C, H, W), to CTC probabilities, shape (steps, classes).
    """
    correct = []
    for plate in plates:
        crop = framed(plate, margin_x=spec.margin_x, margin_y=spec.margin_y)
        text = best_text(ctc_positions(read(to_reader_input(crop, spec)[None])))
        correct.append(fold(text) == fold(plate.text))
    return correct
