"""What a reader is trained to make small."""

import torch
from torch import Tensor
from torch.nn import functional

from plateid.core.text import CHARSET
from train.reader.batches import UNKNOWN, Batch

STEPS_WEIGHT = 0.5
REGIONS_WEIGHT = 0.1


def loss_of(logits: Tensor, regions: Tensor | None, batch: Batch) -> Tensor:
    """CTC (Graves et al., ICML 2006), helped by the rendered characters' places and the country.

    CTC alone learns nothing in its first 90,000 samples; the places cut that to a third.

    Args:
        logits: Shape (N, T, CLASSES), blank first.
        regions: Shape (N, R), or None where the network does not tell countries.
        batch: What the crops say.
    """
    logs = logits.float().log_softmax(dim=2)
    loss = ctc_loss(logs, batch.texts)
    if regions is None:
        return loss
    return (
        loss
        + STEPS_WEIGHT * _cross_entropy(logs, batch.steps)
        + REGIONS_WEIGHT * _cross_entropy(regions.float().log_softmax(dim=1), batch.regions)
    )


def ctc_loss(logs: Tensor, texts: list[str]) -> Tensor:
    """Mean CTC loss a character, of log-probabilities, shape (N, T, CLASSES)."""
    targets = torch.tensor([1 + CHARSET.index(c) for text in texts for c in text], dtype=torch.long)
    lengths = torch.tensor([len(text) for text in texts])
    steps = torch.full((len(texts),), logs.shape[1])
    return functional.ctc_loss(logs.transpose(0, 1), targets, steps, lengths, zero_infinity=True)


def _cross_entropy(logs: Tensor, classes: Tensor) -> Tensor:
    """Over the classes that are known; 0 where none is."""
    known = classes != UNKNOWN
    return functional.nll_loss(logs[known], classes[known]) if known.any() else logs.sum() * 0
