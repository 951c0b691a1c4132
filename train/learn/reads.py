"""What a network reads in crops, and how probable it finds their labels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from plateid.core.records import Image
from plateid.core.text import BLANK, CHARSET, best_text, ctc_positions
from plateid.models.onnx_reader import to_reader_input
from train.folding import fold
from train.reader.platenet import COLUMNS, PlateNet
from train.reader.reader_weights import SPEC

BATCH = 64
"""Crops per forward pass."""
LOWEST = -5.0
"""Least log-probability of a label per character: it makes no difference how wrong a read is."""
TINY = 1e-12
"""Least probability that a logarithm is taken of."""
Array = NDArray[np.float32]
Weights = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Sample:
    """Crops as a reader takes them, uint8 of shape (N, 3, H, W), and their labels."""

    inputs: NDArray[np.uint8]
    texts: tuple[str, ...]

    @classmethod
    def of(cls, crops: Iterable[tuple[Image, str]]) -> "Sample":
        """Resizes crops."""
        pairs = [(to_reader_input(image, SPEC), text) for image, text in crops]
        inputs = np.stack([pixels for pixels, _ in pairs]).clip(0, 255).astype(np.uint8)
        return cls(inputs, tuple(text for _, text in pairs))


@dataclass(frozen=True, eq=False)
class Reads:
    """The reads of N crops."""

    steps: Array  # probabilities of the CTC steps, shape (N, steps, classes)
    labels: tuple[str, ...]
    texts: tuple[str, ...]
    confidences: Array  # product of the probabilities of the characters, shape (N,)
    label_logs: Array  # log-probability of the label per character, at least LOWEST; shape (N,)
    read_logs: Array  # log-probability of the text that was read, shape (N,)

    @property
    def exact(self) -> NDArray[np.bool_]:
        """Whether each is read correctly."""
        return np.array([r == t for r, t in zip(self.texts, self.labels, strict=True)], bool)

    @property
    def folded(self) -> NDArray[np.bool_]:
        """The same, O/0- and I/1-insensitive."""
        pairs = zip(self.texts, self.labels, strict=True)
        return np.array([fold(read) == fold(label) for read, label in pairs], bool)

    @property
    def two_lines(self) -> float:
        """Share of the crops with characters in the steps of the second line."""
        second = self.steps[:, COLUMNS:].argmax(axis=2) != BLANK
        return float(second.any(axis=1).mean())

    def part(self, numbers: Sequence[int]) -> "Reads":
        """Returns the reads of the crops with these numbers."""
        return reads_of(self.steps[list(numbers)], [self.labels[i] for i in numbers])


def read_steps(weights: Weights, inputs: NDArray[np.uint8]) -> Array:
    """Returns the probabilities of the CTC steps of crops, shape (N, steps, classes)."""
    network = PlateNet()
    network.load_state_dict(weights)
    network.eval()
    with torch.inference_mode():
        parts = (inputs[start : start + BATCH] for start in range(0, len(inputs), BATCH))
        logits = [network(torch.from_numpy(part).float())[0] for part in parts]
        steps: Array = torch.cat(logits).softmax(dim=2).numpy()
    return steps


def reads_of(steps: Array, labels: Sequence[str]) -> Reads:
    """Decodes the CTC steps of labelled crops."""
    positions = [ctc_positions(each) for each in steps]
    texts = tuple(map(best_text, positions))
    lengths = np.array([max(1, len(text)) for text in labels])
    return Reads(
        steps=steps,
        labels=tuple(labels),
        texts=texts,
        confidences=np.array([each.max(axis=1).prod() for each in positions], np.float32),
        label_logs=np.maximum(LOWEST, _log_probabilities(steps, labels) / lengths),
        read_logs=_log_probabilities(steps, texts),
    )


def _log_probabilities(steps: Array, texts: Sequence[str]) -> Array:
    """Returns the log-probability of each text, summed over its CTC paths; shape (N,)."""
    logs = torch.from_numpy(steps).clamp_min(TINY).log().transpose(0, 1)
    targets = torch.tensor([1 + CHARSET.index(c) for text in texts for c in text], dtype=torch.long)
    lengths = torch.tensor([len(text) for text in texts])
    counts = torch.full((len(texts),), steps.shape[1])
    losses = functional.ctc_loss(logs, targets, counts, lengths, reduction="none")
    return np.asarray(-losses.numpy(), np.float32)
