"""How a reader in training reads the plates that are held out."""

import numpy as np
import torch
from torch import nn

from plateid.core.text import ctc_slots, slots_text
from plateid.models.bundle import ReaderSpec
from plateid.models.reader import fitted
from train.reader.crops import Plate, framed
from train.text import fold


def scores(network: nn.Module, spec: ReaderSpec, plates: list[Plate]) -> dict[str, float]:
    """Share of plates read exactly (folded), by source, on true boxes with their margins."""
    network.eval()
    right: dict[str, list[bool]] = {}
    with torch.inference_mode():
        for plate in plates:
            crop = framed(plate, margin_x=spec.margin_x, margin_y=spec.margin_y)
            logits, _ = network(torch.from_numpy(fitted(crop, spec)[None]))
            text = slots_text(ctc_slots(logits[0].softmax(dim=1).numpy()))
            right.setdefault(plate.source, []).append(fold(text) == fold(plate.text))
    return {source: round(float(np.mean(answers)), 4) for source, answers in sorted(right.items())}
