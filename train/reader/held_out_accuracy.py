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
Reader = Callable[[Array], Array]
"""Maps a crop, shape (1, C, H, W), to CTC probabilities, shape (steps, classes)."""


def accuracy_by_source(
    network: nn.Module, spec: ReaderSpec, plates: list[RealPlate]
) -> dict[str, float]:
    """Returns `plate_accuracy_folded` of each source, read in the true boxes."""
    read = torch_reader(network)
    return {
        group[0].source: round(float(np.mean(correct_reads(read, spec, group))), 4)
        for group in by_source(plates)
    }


def torch_reader(network: nn.Module) -> Reader:
    """Returns a reader that runs a PlateNet, and sets the network to evaluation mode."""
    network.eval()

    def read(crop: Array) -> Array:
        with torch.inference_mode():
            logits, _ = network(torch.from_numpy(crop))
        probabilities: Array = logits[0].softmax(dim=1).numpy()
        return probabilities

    return read


def read_text(read: Reader, spec: ReaderSpec, plate: RealPlate) -> str:
    """Returns the text of a plate, read in its true box."""
    crop = framed(plate, margin_x=spec.margin_x, margin_y=spec.margin_y)
    return best_text(ctc_positions(read(to_reader_input(crop, spec)[None])))


def correct_reads(read: Reader, spec: ReaderSpec, plates: Iterable[RealPlate]) -> list[bool]:
    """Returns whether each plate is read correctly (O/0- and I/1-insensitive) in its true box."""
    return [fold(read_text(read, spec, plate)) == fold(plate.text) for plate in plates]
