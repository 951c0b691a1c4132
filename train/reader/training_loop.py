"""The loss and the training loop of a reader. It can be interrupted at any moment and resumed."""

import io
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from plateid.core.text import CHARSET
from plateid.files import write_whole
from train.machine import computes_bfloat16
from train.reader.batches import UNKNOWN, Batch
from train.reader.processes import broadcast, data_parallel, rank
from train.reader.reader_weights import MODEL, load_checkpoint, read_checkpoint
from train.train_error import TrainError

CLIP_NORM = 5.0
"""Gradients are clipped to this norm."""
WEIGHT_DECAY = 0.02
"""Of AdamW."""
WARM_UP_STEPS = 200
"""Steps over which the learning rate rises linearly."""
LAST_RATE = 0.01
"""Learning rate at the end, relative to its maximum."""
EMA_DECAY = 0.998
"""Decay of the exponential moving average of the weights."""
EVALUATE_EVERY_S = 240.0
"""Interval between two evaluations, each of which saves a checkpoint, seconds."""
POSITION_WEIGHT = 0.5
"""Weight of the loss at known character positions, beside CTC's. CTC alone learns nothing in its
first 90,000 samples; the positions cut that to a third."""

TRANSFORM_WEIGHT = 2.0
"""Weight of the loss of the rectifier's transforms."""


@dataclass
class Progress:
    """How far a run has come. The checkpoint holds it."""

    minutes: float = 0.0
    step: int = 0
    metrics: dict[str, float] = field(default_factory=dict)


class Training:
    """Trains a network with AdamW and a cosine schedule, and saves its checkpoint.

    It evaluates and keeps the moving average of the weights at the end. Choosing the best
    checkpoint on so few held-out plates would mostly choose luck.
    """

    def __init__(self, network: nn.Module, checkpoint: Path, *, minutes: float, lr: float) -> None:
        """Resumes from `checkpoint` if it exists; raises TrainError if it is of no such network."""
        self.progress = Progress()
        self._network = network.to(memory_format=torch.channels_last)
        self._minutes, self._lr = minutes, lr
        self._checkpoint = checkpoint
        self._parallel = data_parallel(network)
        self._bfloat16 = computes_bfloat16()
        self._average = AveragedModel(
            network, multi_avg_fn=get_ema_multi_avg_fn(EMA_DECAY), use_buffers=True
        )
        self._optimiser = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY)
        if checkpoint.is_file():
            self._restore()

    def fit(
        self, batches: Iterator[Batch], evaluate: Callable[[nn.Module], dict[str, float]]
    ) -> Progress:
        """Trains until the time is over, and saves; raises TrainError if the loss is not finite."""
        evaluated = time.monotonic()
        while self.progress.minutes < self._minutes:
            loss = self._step(batches)
            if not math.isfinite(loss):
                raise TrainError(
                    f"{self._checkpoint.parent}: the loss is {loss} at step {self.progress.step}"
                )
            ended = self.progress.minutes >= self._minutes
            if rank() == 0 and (ended or time.monotonic() - evaluated > EVALUATE_EVERY_S):
                self.progress.metrics = evaluate(self._average.module)
                self._save()
                self._report(loss)
                evaluated = time.monotonic()
        return self.progress

    def _step(self, batches: Iterator[Batch]) -> float:
        """Makes one update, rendering included, and returns the loss."""
        started = time.monotonic()
        batch = next(batches)
        self._set_learning_rate()
        self._parallel.train()
        # Flash attention makes a step a quarter slower on a CPU, mostly in the backward pass.
        bfloat16 = torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._bfloat16)
        with sdpa_kernel(SDPBackend.MATH), bfloat16:
            logits, transforms = self._parallel(batch.inputs.to(memory_format=torch.channels_last))
        loss = reader_loss(logits, transforms, batch)
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._network.parameters(), CLIP_NORM)
        self._optimiser.step()
        self._average.update_parameters(self._network)
        self.progress.step += 1
        self.progress.minutes = broadcast(self.progress.minutes + (time.monotonic() - started) / 60)
        return float(loss.item())

    def _set_learning_rate(self) -> None:
        done = min(1.0, self.progress.minutes / self._minutes)
        cosine = LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * done)) / 2
        warm_up = min(1.0, (self.progress.step + 1) / WARM_UP_STEPS)
        for group in self._optimiser.param_groups:
            group["lr"] = self._lr * warm_up * cosine

    def _report(self, loss: float) -> None:
        left = max(0.0, self._minutes - self.progress.minutes)
        metrics = ", ".join(f"{name} {value:.3f}" for name, value in self.progress.metrics.items())
        Console(stderr=True).print(
            f"{self.progress.step} steps, {left:.0f} min left, loss {loss:.3f}, {metrics}"
        )

    def _save(self) -> None:
        """Replaces the checkpoint atomically."""
        state: dict[str, Any] = {
            MODEL: self._average.module.state_dict(),
            "network": self._network.state_dict(),
            "average": self._average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "progress": asdict(self.progress),
        }
        buffer = io.BytesIO()  # torch.save raises no OSError when the disk is full
        torch.save(state, buffer)
        write_whole(self._checkpoint, buffer.getvalue())

    def _restore(self) -> None:
        load_checkpoint(self._network, self._checkpoint)
        saved = read_checkpoint(self._checkpoint)
        self._network.load_state_dict(saved["network"])
        self._average.load_state_dict(saved["average"])
        self._optimiser.load_state_dict(saved["optimiser"])
        self.progress = Progress(**saved["progress"])


def reader_loss(logits: Tensor, transforms: Tensor, batch: Batch) -> Tensor:
    """Returns the CTC loss (Graves et al., ICML 2006), plus those of positions and corners."""
    logs = logits.float().log_softmax(dim=2)
    positions = _position_loss(logs, batch.steps)
    corners = _transform_loss(transforms, batch.transforms)
    return ctc_loss(logs, batch.texts) + POSITION_WEIGHT * positions + TRANSFORM_WEIGHT * corners


def ctc_loss(logs: Tensor, texts: list[str]) -> Tensor:
    """Returns the mean CTC loss per character of log-probabilities, shape (N, T, CLASSES)."""
    targets = torch.tensor([1 + CHARSET.index(c) for text in texts for c in text], dtype=torch.long)
    lengths = torch.tensor([len(text) for text in texts])
    steps = torch.full((len(texts),), logs.shape[1])
    return functional.ctc_loss(logs.transpose(0, 1), targets, steps, lengths, zero_infinity=True)


def _transform_loss(transforms: Tensor, expected: Tensor) -> Tensor:
    """Mean distance of the numbers from the expected ones, which may be unknown (nan)."""
    known = ~expected.isnan()
    distances = (transforms[known] - expected[known]).abs()
    return distances.mean() if known.any() else transforms.sum() * 0


def _position_loss(logs: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy over the steps whose class is known; 0 if none is."""
    known = classes != UNKNOWN
    return functional.nll_loss(logs[known], classes[known]) if known.any() else logs.sum() * 0
