"""The training loop of a reader, which may be killed at any moment."""

import io
import math
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from train.machine import computes_bfloat16
from train.reader.batches import Batch
from train.reader.losses import loss_of
from train.reader.parallel import agreed, rank, shared
from train.train_error import TrainError

CLIP_NORM = 5.0
WEIGHT_DECAY = 0.02
WARM_UP_STEPS = 200
LAST_RATE = 0.01
"""Of the greatest learning rate, at the end."""
DECAY = 0.998
"""Of the moving average of the weights."""
EVALUATE_EVERY_S = 240.0


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: minutes of training, and the greatest learning rate."""

    minutes: float
    lr: float


@dataclass
class Progress:
    """How far a run is; its checkpoint keeps it."""

    minutes: float = 0.0
    step: int = 0
    metrics: dict[str, float] = field(default_factory=dict)


class Training:
    """A network that is trained with AdamW and half a cosine, and its checkpoint.

    What is evaluated and kept is the moving average of the weights at the end: a pick by so few
    held-out plates would mostly be luck.
    """

    def __init__(
        self, network: nn.Module, schedule: Schedule, checkpoint: Path, about: dict[str, Any]
    ) -> None:
        """Starts from `checkpoint` where there is one; `about` is put into it.

        Raises:
            TrainError: The checkpoint is broken, or of another network.
        """
        self.progress = Progress()
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._schedule = schedule
        self._checkpoint = checkpoint
        self._about = about
        self._shared = shared(network)
        self._computes_bfloat16 = computes_bfloat16()
        self._average = averaged(network)
        self._optimiser = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY)
        if checkpoint.is_file():
            self._restore()

    def fit(
        self, batches: Iterator[Batch], evaluate: Callable[[nn.Module], dict[str, float]]
    ) -> Progress:
        """Trains until the time is over; prints a line and keeps a checkpoint now and then.

        Raises:
            TrainError: The loss is no longer a number.
        """
        evaluated = time.monotonic()
        while self.progress.minutes < self._schedule.minutes:
            loss = self._step(batches)
            if not math.isfinite(loss):
                raise TrainError(
                    f"{self._checkpoint.parent}: the loss is {loss} at step {self.progress.step}"
                )
            ended = self.progress.minutes >= self._schedule.minutes
            if rank() == 0 and (ended or time.monotonic() - evaluated > EVALUATE_EVERY_S):
                self.progress.metrics = evaluate(self._average.module)
                self._save()
                self._report(loss)
                evaluated = time.monotonic()
        return self.progress

    def _step(self, batches: Iterator[Batch]) -> float:
        """One update, in bfloat16 if it can be, rendering included; gives the loss."""
        started = time.monotonic()
        batch = next(batches)
        self._set_learning_rate()
        self._shared.train()
        # on a CPU, flash attention takes a quarter longer for a step, most of it backwards
        bfloat16 = torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._computes_bfloat16)
        with sdpa_kernel(SDPBackend.MATH), bfloat16:
            inputs = batch.inputs.to(memory_format=torch.channels_last)
            logits, regions = self._shared(inputs)
        loss = loss_of(logits, regions, batch)
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._network.parameters(), CLIP_NORM)
        self._optimiser.step()
        self._average.update_parameters(self._network)
        self.progress.step += 1
        self.progress.minutes = agreed(self.progress.minutes + (time.monotonic() - started) / 60)
        return loss.item()

    def _set_learning_rate(self) -> None:
        done = min(1.0, self.progress.minutes / self._schedule.minutes)
        cosine = LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * done)) / 2
        warm = min(1.0, (self.progress.step + 1) / WARM_UP_STEPS)
        for group in self._optimiser.param_groups:
            group["lr"] = self._schedule.lr * warm * cosine

    def _report(self, loss: float) -> None:
        left = self._schedule.minutes - self.progress.minutes
        shown = ", ".join(f"{name} {value:.3f}" for name, value in self.progress.metrics.items())
        Console(stderr=True).print(
            f"{self.progress.step} steps, {left:.0f} min left, loss {loss:.3f}, {shown}"
        )

    def _save(self) -> None:
        """The checkpoint has its name only when it is whole."""
        state = {
            "about": self._about,
            "model": self._average.module.state_dict(),
            "network": self._network.state_dict(),
            "average": self._average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "progress": asdict(self.progress),
        }
        whole = io.BytesIO()  # of a full disk, torch.save says something else than Python
        torch.save(state, whole)
        temporary = self._checkpoint.with_suffix(".tmp")
        temporary.write_bytes(whole.getbuffer())
        temporary.replace(self._checkpoint)

    def _restore(self) -> None:
        load_weights(self._network, self._checkpoint)
        saved = loaded(self._checkpoint)
        self._network.load_state_dict(saved["network"])
        self._average.load_state_dict(saved["average"])
        self._optimiser.load_state_dict(saved["optimiser"])
        self.progress = Progress(**saved["progress"])


def averaged(network: nn.Module) -> AveragedModel:
    """A moving average of a network's weights and statistics."""
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(DECAY), use_buffers=True)


def load_weights(network: nn.Module, checkpoint: Path) -> None:
    """Puts the weights that a run kept into a network.

    Raises:
        TrainError: The file is no checkpoint of such a network.
    """
    try:
        network.load_state_dict(loaded(checkpoint)["model"])
    except RuntimeError as error:
        raise TrainError(f"{checkpoint}: of another network: {error}") from error


def loaded(checkpoint: Path) -> dict[str, Any]:
    """What a run kept.

    Raises:
        TrainError: The file is missing, cut off or something else.
    """
    try:
        saved: dict[str, Any] = torch.load(checkpoint, weights_only=True)
        if saved.keys() >= {"about", "model"}:
            return saved
    except (OSError, RuntimeError, AttributeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0].partition(". ")[0]  # torch goes on with advice
        raise TrainError(f"{checkpoint}: not a checkpoint of a reader: {reason}") from error
    raise TrainError(f"{checkpoint}: not a checkpoint of a reader")
