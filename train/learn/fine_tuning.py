"""Fine-tunes the reader on a few real plates among rendered ones."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from train.learn.reads import Weights
from train.learn.rehearsal import Rehearsal
from train.progress import timed
from train.reader.batches import UNKNOWN, Batch, Mix, batches
from train.reader.platenet import PlateNet
from train.reader.processes import rank, run_in_processes
from train.reader.reader_weights import MODEL, SPEC, read_checkpoint
from train.reader.real_plates import RealPlate, by_source
from train.reader.training_loop import Training

LR = 5e-4
"""Peak learning rate."""
BATCH = 32
"""Crops per step and process: small, because a short training needs steps."""
REAL, REAL_KEPT = 0.2, 0.1
"""Share of your plates in a batch, and of the plates of each --keep."""


@dataclass(frozen=True, eq=False)
class FineTuning:
    """One training: where it starts, what it sees, how long it takes, and where it is saved."""

    title: str
    start: Weights
    plates: Sequence[RealPlate]
    rehearsal: Rehearsal
    checkpoint: Path
    minutes: float
    seed: int = 0
    processes: int | None = None  # None: one per core


class Network(PlateNet):
    """A reader whose normalisation and rectifier stay as they are.

    Their statistics are those of many real plates. A batch of mostly rendered ones would shift
    them, and the network would read real plates worse.
    """

    def train(self, mode: bool = True) -> "Network":  # noqa: FBT001, FBT002 - as in torch
        """Sets the mode of everything else."""
        super().train(mode)
        for module in (self.rectifier, *self.modules()):
            if isinstance(module, nn.BatchNorm2d) or module is self.rectifier:
                module.eval()
        return self


def fine_tune(task: FineTuning) -> Weights:
    """Trains, or resumes, and returns the weights. Raises TrainError if the loss is not finite."""
    if not _is_finished(task):
        count = task.processes or os.cpu_count() or 1
        if count > 1:
            run_in_processes(count, _train, task)
        else:
            _train(task)
    weights: Weights = read_checkpoint(task.checkpoint)[MODEL]
    return weights


def on_line(before: Weights, after: Weights, share: float) -> Weights:
    """Returns the weights that are this share (0-1) of the way from one network to another."""
    return {
        name: weight.lerp(after[name], share) if weight.is_floating_point() else weight
        for name, weight in before.items()
    }


def mean_of(networks: Sequence[Weights]) -> Weights:
    """Returns the mean of networks that were trained from the same one (model soup)."""
    mean = networks[0]
    for count, weights in enumerate(networks[1:], 2):
        mean = on_line(mean, weights, 1 / count)
    return mean


def _is_finished(task: FineTuning) -> bool:
    if not task.checkpoint.is_file():
        return False
    return bool(read_checkpoint(task.checkpoint)["progress"]["minutes"] >= task.minutes)


def _train(task: FineTuning) -> None:
    torch.manual_seed(task.seed)
    network = Network()
    network.load_state_dict(task.start)
    network.rectifier.requires_grad_(requires_grad=False)
    training = Training(network, task.checkpoint, minutes=task.minutes, lr=LR)
    sources = len(by_source(task.plates))
    real = REAL + REAL_KEPT * (sources - 1)
    mix = Mix(task.plates, task.rehearsal.crops(), real=min(0.5, real), size=BATCH)
    drawn = batches(mix, SPEC, seed=(task.seed, training.progress.step, rank()))
    left_s = 60 * (task.minutes - training.progress.minutes)
    shown = timed(drawn, task.title, left_s) if rank() == 0 else drawn
    training.fit(map(_with_texts_only, shown), lambda _: {})


def _with_texts_only(batch: Batch) -> Batch:
    """Removes what only a training from the beginning needs: places of characters and plates."""
    steps = torch.full_like(batch.steps, UNKNOWN)
    return replace(batch, steps=steps, transforms=torch.full_like(batch.transforms, torch.nan))
