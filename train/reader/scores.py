"""How a reader reads the plates that are held out, in training and in 8 bits."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from plateid.core.text import ctc_slots, slots_text
from plateid.models.bundle import ReaderSpec
from plateid.models.reader import fitted
from train.folding import fold
from train.reader.crops import Plate, framed

Array = NDArray[np.float32]


def scores(network: nn.Module, spec: ReaderSpec, plates: list[Plate]) -> dict[str, float]:
    """Share of plates read exactly (folded), by source, on true boxes with their margins."""

    def read(crop: Array) -> Array:
        logits, _ = network(torch.from_numpy(crop))
        probabilities: Array = logits[0].softmax(dim=1).numpy()
        return probabilities

    network.eval()
    by_source: dict[str, list[bool]] = {}
    with torch.inference_mode():
        for plate, right in zip(plates, read_right(read, spec, plates), strict=True):
            by_source.setdefault(plate.source, []).append(right)
    return {source: round(float(np.mean(right)), 4) for source, right in sorted(by_source.items())}


def read_right(
    read: Callable[[Array], Array], spec: ReaderSpec, plates: Iterable[Plate]
) -> list[bool]:
    """Whether each plate is read exactly (folded), in its true box with the margins of `spec`.

    Args:
        read: From a crop, shape (1, C, H, W), to the probabilities of its steps, (steps, classes).
        spec: How crops are cut out and fitted in.
        plates: What is to be read.
    """
    answers = []
    for plate in plates:
        crop = framed(plate, margin_x=spec.margin_x, margin_y=spec.margin_y)
        text = slots_text(ctc_slots(read(fitted(crop, spec)[None])))
        answers.append(fold(text) == fold(plate.text))
    return answers
