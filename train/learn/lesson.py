"""The trainings of a lesson: one for each fold of your plates, and the last one on all of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from train.learn.fine_tuning import FineTuning, fine_tune, mean_of, on_line
from train.learn.gather import OwnPlate
from train.learn.reads import Reads, Sample, Weights, read_steps, reads_of
from train.learn.rehearsal import Rehearsal
from train.learn.vehicle_folds import FOLDS, vehicle_folds
from train.reader.real_plates import RealPlate, by_source, framed, read_plates

FOLD_SHARE, LAST_SHARE = 0.12, 0.24
"""Shares of the command's time for the training of each fold, and for the last one."""


@dataclass(frozen=True, eq=False)
class KeptPlates:
    """Real plates that must not be forgotten: some to train with, the others by source."""

    training: Sequence[RealPlate]
    held_out: dict[str, Sample]


@dataclass(frozen=True, eq=False)
class Lesson:
    """What is learnt: a base, your plates, plates of --keep, and rendered ones."""

    base: Weights
    own: Sequence[OwnPlate]
    kept: KeptPlates
    rehearsal: Rehearsal
    processes: int | None = None

    @property
    def folds(self) -> list[list[int]]:
        """The numbers of the plates of each fold."""
        at = vehicle_folds([each.vehicle for each in self.own])
        return [[number for number, fold in enumerate(at) if fold == k] for k in range(FOLDS)]

    def render(self) -> None:
        """Renders the plates to train with."""
        before = self.held_out([self.base] * FOLDS, 0)
        self.rehearsal.fill([each.plate.text for each in self.own], before.two_lines)

    def train_folds(self) -> list[Weights]:
        """Trains a network for each fold, without its plates."""
        every = range(len(self.own))
        return [
            self._train(f"fold-{fold}", self.base, [i for i in every if i not in left_out])
            for fold, left_out in enumerate(self.folds)
        ]

    def train_last(self, networks: Sequence[Weights], numbers: Sequence[int]) -> Weights:
        """Trains on these plates, from the mean of the folds' networks."""
        return self._train("last", mean_of(networks), numbers, LAST_SHARE)

    def held_out(self, networks: Sequence[Weights], share: float) -> Reads:
        """Reads each plate with the network that did not train on it, at a place on its line."""
        sample, folds = sample_of(each.plate for each in self.own), self.folds
        steps = [
            read_steps(on_line(self.base, network, share), sample.inputs[numbers])
            for network, numbers in zip(networks, folds, strict=True)
        ]
        order = np.argsort(np.concatenate(folds))
        return reads_of(np.concatenate(steps)[order], sample.texts)

    def to_keep(self) -> dict[str, Sample]:
        """Returns what must not be forgotten, by name."""
        return {"rendered plates": self.rehearsal.forgetting(), **self.kept.held_out}

    def _train(
        self, name: str, start: Weights, numbers: Sequence[int], share: float = FOLD_SHARE
    ) -> Weights:
        task = FineTuning(
            title=f"Training {name}",
            start=start,
            plates=[*(self.own[i].plate for i in numbers), *self.kept.training],
            rehearsal=self.rehearsal,
            checkpoint=self.rehearsal.folder / f"{name}.pt",
            minutes=share * self.rehearsal.minutes,
            processes=self.processes,
        )
        return fine_tune(task)


def read_kept(folders: Sequence[Path]) -> KeptPlates:
    """Reads the plates of --keep; raises TrainError if they cannot be read."""
    training, held_out = read_plates(folders) if folders else ([], [])
    sources = by_source(plate for plate in held_out if plate.text)
    return KeptPlates(training, {group[0].source: sample_of(group) for group in sources})


def sample_of(plates: Iterable[RealPlate]) -> Sample:
    """Returns plates in their boxes, as the reader takes them."""
    return Sample.of((framed(plate, margin_x=0, margin_y=0), plate.text) for plate in plates)
