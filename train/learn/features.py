"""Features of crops: what the reader's convolutions give. They are computed once, and kept.

`train learn` trains the layers behind the convolutions only. So a training step costs a sixth, and
real plates of other countries, which it does not have, are forgotten less.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from plateid.models.onnx_reader import to_reader_input
from train.reader.batch_augmentation import augmented_batch
from train.reader.platenet import COLUMNS, EMBEDDING, ROWS, PlateNet
from train.reader.reader_weights import SPEC
from train.synth.rendering import LabelledCrop

BATCH = 64
"""Crops per forward pass."""
TRAINABLE = ("encoder.", "position", "characters.")
"""Prefixes of the weights behind the convolutions."""
Weights = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Features:
    """Features of N crops, float16 of shape (N, steps, channels), and their texts."""

    values: Tensor
    texts: tuple[str, ...]

    def part(self, numbers: Sequence[int]) -> "Features":
        """Returns those of the crops with these numbers."""
        return Features(self.values[list(numbers)], tuple(self.texts[i] for i in numbers))


def network_of(weights: Weights) -> PlateNet:
    """Returns a network for inference."""
    network = PlateNet()
    network.load_state_dict(weights)
    network.eval()
    return network


def features_of(
    network: PlateNet, crops: Iterable[LabelledCrop], rng: np.random.Generator | None = None
) -> Features:
    """Returns the features of crops. With random numbers, the crops are augmented."""
    values, texts = [torch.empty(0, ROWS * COLUMNS, EMBEDDING, dtype=torch.half)], list[str]()
    left = iter(crops)
    while part := list(islice(left, BATCH)):
        inputs = torch.from_numpy(np.stack([to_reader_input(crop.image, SPEC) for crop in part]))
        if rng is not None:
            inputs, _ = augmented_batch(inputs, rng, [crop.centres for crop in part])
        with torch.no_grad():
            rectified, _ = network.rectifier(inputs / 127.5 - 1.0)
            values.append(network.features(rectified).half())
        texts += [crop.text for crop in part]
    return Features(torch.cat(values), tuple(texts))


def steps_of(network: PlateNet, features: Features) -> Tensor:
    """Returns the log-probabilities of the CTC steps, shape (N, steps, classes)."""
    with torch.no_grad():
        logits = [network.classify(part.float()) for part in features.values.split(BATCH)]
        return torch.cat(logits).log_softmax(dim=2)
