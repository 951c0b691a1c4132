"""What a network reads in crops, and how probable it finds their labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from plateid.core.text import BLANK, CHARSET, best_text, ctc_positions
from train.folding import fold
from train.learn.features import Features, Weights, network_of, steps_of
from train.reader.platenet import COLUMNS

LOWEST = -5.0
"""Least log-probability of a label per character: it makes no difference how wrong a read is."""
Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Reads:
    """The reads of N crops."""

    logs: Tensor  # log-probabilities of the CTC steps, shape (N, steps, classes)
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
        second = self.logs[:, COLUMNS:].argmax(dim=2) != BLANK
        return float(second.any(dim=1).float().mean())

    def part(self, numbers: Sequence[int]) -> "Reads":
        """Returns the reads of the crops with these numbers."""
        return reads_of(self.logs[list(numbers)], [self.labels[i] for i in numbers])


def read(weights: Weights, features: Features) -> Reads:
    """Reads crops."""
    return reads_of(steps_of(network_of(weights), features), features.texts)


def reads_of(logs: Tensor, labels: Sequence[str]) -> Reads:
    """Decodes the CTC steps of labelled crops."""
    positions = [ctc_positions(each) for each in logs.exp().numpy()]
    texts = tuple(map(best_text, positions))
    lengths = np.array([max(1, len(text)) for text in labels])
    return Reads(
        logs=logs,
        labels=tuple(labels),
        texts=texts,
        confidences=np.array([each.max(axis=1).prod() for each in positions], np.float32),
        label_logs=np.maximum(LOWEST, _log_probabilities(logs, labels) / lengths),
        read_logs=_log_probabilities(logs, texts),
    )


def _log_probabilities(logs: Tensor, texts: Sequence[str]) -> Array:
    """Returns the log-probability of each text, summed over its CTC paths; shape (N,)."""
    targets = torch.tensor([1 + CHARSET.index(c) for text in texts for c in text], dtype=torch.long)
    lengths = torch.tensor([len(text) for text in texts])
    counts = torch.full((len(texts),), logs.shape[1])
    losses = functional.ctc_loss(logs.transpose(0, 1), targets, counts, lengths, reduction="none")
    return np.asarray(-losses.numpy(), np.float32)
