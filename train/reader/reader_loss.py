"""The training loss of a reader."""

import torch
from torch import Tensor
from torch.nn import functional

from plateid.core.text import CHARSET
from train.reader.batches import UNKNOWN, Batch

POSITION_WEIGHT = 0.5
"""Weight of the loss at known character positions, beside CTC's. CTC alone learns nothing in its
first 90,000 samples; the positions cut that to a third."""


def reader_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Returns the CTC loss (Graves et al., ICML 2006) plus that of the known positions."""
    logs = logits.float().log_softmax(dim=2)
    return ctc_loss(logs, batch.texts) + POSITION_WEIGHT * _position_loss(logs, batch.steps)


def ctc_loss(logs: Tensor, texts: list[str]) -> Tensor:
    """Returns the mean CTC loss per character of log-probabilities, shape (N, T, CLASSES)."""
    targets = torch.tensor([1 + CHARSET.index(c) for text in texts for c in text], dtype=torch.long)
    lengths = torch.tensor([len(text) for text in texts])
    steps = torch.full((len(texts),), logs.shape[1])
    return functional.ctc_loss(logs.transpose(0, 1), targets, steps, lengths, zero_infinity=True)


def _position_loss(logs: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy over the steps whose class is known; 0 if none is."""
    known = classes != UNKNOWN
    return functional.nll_loss(logs[known], classes[known]) if known.any() else logs.sum() * 0
