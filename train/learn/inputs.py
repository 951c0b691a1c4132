"""Labelled crops as inputs of the reader, and what a network reads in them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from plateid.capture.images import ArrayImage
from plateid.core.reading import single_reading
from plateid.core.taught_syntax import NO_SYNTAX, TaughtSyntax
from plateid.core.text import CHARSET, best_text, ctc_positions
from plateid.models.bundle import ReaderSpec
from plateid.models.onnx_reader import OnnxReader, to_reader_input
from plateid.models.session import NetworkSession
from train.reader.batch_augmentation import augmented_batch
from train.reader.platenet import PlateNet
from train.reader.reader_weights import SPEC
from train.reader.real_plates import RealPlate
from train.synth.rendering import LabelledCrop

BATCH = 64
"""Crops per forward pass."""
LOWEST = -5.0
"""Least log-probability of a label per character: it makes no difference how wrong a read is."""
Array = NDArray[np.float32]
Weights = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs of N crops, BGR uint8 of shape (N, 3, H, W), and their texts."""

    values: Tensor
    texts: tuple[str, ...]

    def part(self, numbers: Sequence[int]) -> "Inputs":
        """Returns those of the crops with these numbers."""
        return Inputs(self.values[list(numbers)], tuple(self.texts[i] for i in numbers))


@dataclass(frozen=True, eq=False)
class Read:
    """What a network reads in a crop, and how probable it finds the label."""

    text: str
    steps: Array  # probabilities of the CTC steps, shape (steps, classes)
    confidence: float  # product of the probabilities of the characters
    label_log: float  # log-probability of the label per character, at least LOWEST
    read_log: float  # log-probability of the text that was read
    judged: float = 0.0  # what the gate judges: the mean of `judged_log` over crops of the plate
    syntax: TaughtSyntax = NO_SYNTAX  # that other plates taught

    def judged_log(self, label: str) -> float:
        """Returns the log-probability of the label per character, weighed by the syntax.

        What is not the label counts as the text that was read (Bayes).
        """
        right = min(1.0, math.exp(self.label_log * len(label))) * self.syntax.factor(label)
        wrong = (1 - right / self.syntax.factor(label)) * self.syntax.factor(self.text)
        return math.log(right / (right + wrong)) / len(label)


def network_of(weights: Weights) -> PlateNet:
    """Returns a network for inference."""
    network = PlateNet()
    network.load_state_dict(weights)
    network.eval()
    return network


def inputs_of(crops: Iterable[LabelledCrop], rng: np.random.Generator | None = None) -> Inputs:
    """Returns the inputs of crops. With random numbers, the crops are augmented."""
    values = [torch.empty(0, 3, SPEC.height, SPEC.width, dtype=torch.uint8)]
    texts, left = list[str](), iter(crops)
    while part := list(islice(left, BATCH)):
        inputs = torch.from_numpy(np.stack([to_reader_input(crop.image, SPEC) for crop in part]))
        if rng is not None:
            inputs, _ = augmented_batch(inputs, rng, [crop.centres for crop in part])
        values.append(inputs.round().byte())
        texts += [crop.text for crop in part]
    return Inputs(torch.cat(values), tuple(texts))


def texts_in(model: bytes, spec: ReaderSpec, plates: Iterable[RealPlate]) -> list[str]:
    """Returns what a device reads with the reader of a file in each plate's box, once."""
    reader = OnnxReader(NetworkSession("reader", model), spec)
    reads = (reader.read(ArrayImage(each.image), [each.box])[0] for each in plates)
    return [single_reading(read).plate for read in reads]


def logs_of(network: PlateNet, inputs: Inputs) -> Tensor:
    """Returns the log-probabilities of the CTC steps, shape (N, steps, classes)."""
    with torch.no_grad():
        logits = [network(part.float())[0] for part in inputs.values.split(BATCH)]
        return torch.cat(logits).log_softmax(dim=2)


def reads_of(logs: Tensor, labels: Sequence[str]) -> list[Read]:
    """Decodes the CTC steps of labelled crops."""
    steps = logs.exp().numpy()
    positions = [ctc_positions(each) for each in steps]
    texts = [best_text(each) for each in positions]
    confidences = [float(each.max(axis=1).prod()) for each in positions]
    per_label = zip(_log_probabilities(logs, labels), labels, strict=True)
    label_logs = [max(LOWEST, log / max(1, len(label))) for log, label in per_label]
    read_logs = _log_probabilities(logs, texts)
    return [*map(Read, texts, steps, confidences, label_logs, read_logs)]


def _log_probabilities(logs: Tensor, texts: Sequence[str]) -> list[float]:
    """Returns the log-probability of each text, summed over its CTC paths."""
    targets = torch.tensor([1 + CHARSET.index(c) for text in texts for c in text], dtype=torch.long)
    lengths = torch.tensor([len(text) for text in texts])
    counts = torch.full((len(texts),), logs.shape[1])
    losses = functional.ctc_loss(logs.transpose(0, 1), targets, counts, lengths, reduction="none")
    return [-float(loss) for loss in losses]
