"""The trainings of a lesson: one for each fold of your plates, and the last one on all of them."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from train.learn.features import Features, Weights, features_of, network_of, steps_of
from train.learn.fine_tuning import LR, Schedule, fine_tune, mean_of, on_line, save_weights
from train.learn.gather import OwnPlate
from train.learn.material import Material, prepare_material
from train.learn.reads import Reads, reads_of
from train.learn.rehearsal import Rehearsal, Rendered
from train.learn.vehicle_folds import FOLDS, vehicle_folds
from train.reader.reader_weights import MODEL, read_checkpoint
from train.reader.real_plates import RealPlate, by_source, framed, read_plates
from train.synth.rendering import LabelledCrop

FOLD_SHARE, LAST_SHARE = 0.1, 0.15
"""Shares of the command's time for the training of each fold, and for the last one, at most."""


class Lesson:
    """What is learnt: from a base, your plates, plates of --keep, and rendered ones."""

    def __init__(
        self, base: Weights, own: Sequence[OwnPlate], keep: Sequence[Path], rehearsal: Rehearsal
    ) -> None:
        """Reads the plates of --keep; raises TrainError if they cannot be read."""
        self.base, self.own, self._rehearsal = base, own, rehearsal
        self._network = network_of(base)
        self._kept, self._kept_held_out = read_plates(keep) if keep else ([], [])
        at = vehicle_folds([each.vehicle for each in own])
        self.folds = [[i for i, fold in enumerate(at) if fold == k] for k in range(FOLDS)]

    @cached_property
    def sample(self) -> Features:
        """Your plates in their boxes."""
        return self._features(each.plate for each in self.own)

    @cached_property
    def before(self) -> Reads:
        """What the base reads in your plates."""
        return reads_of(steps_of(self._network, self.sample), self.sample.texts)

    @cached_property
    def rendered(self) -> Rendered:
        """The rendered plates to train with."""
        return self._rehearsal.to_train(self.sample.texts, self.before.two_lines)

    @cached_property
    def _material(self) -> Material:
        own = [each.plate for each in self.own]
        return prepare_material(self._network, own, self._kept, self.rendered)

    def train_folds(self) -> list[Weights]:
        """Trains a network for each fold, without its plates."""
        every = range(len(self.own))
        return [
            self._train(
                self.base,
                [number for number in every if number not in left_out],
                self._schedule(f"fold {fold + 1} of {FOLDS}", FOLD_SHARE),
            )
            for fold, left_out in enumerate(self.folds)
        ]

    def train_last(self, networks: Sequence[Weights], numbers: Sequence[int]) -> Weights:
        """Trains on these plates, from the mean of the folds' networks."""
        return self._train(
            mean_of(networks), numbers, self._schedule("last training", LAST_SHARE, LR / 2)
        )

    def held_out(self, networks: Sequence[Weights], share: float) -> Reads:
        """Reads each plate with the network that did not train on it, at a place on its line."""
        logs = [
            steps_of(network_of(on_line(self.base, network, share)), self.sample.part(numbers))
            for network, numbers in zip(networks, self.folds, strict=True)
        ]
        order = np.argsort(np.concatenate(self.folds))
        return reads_of(torch.cat(logs)[torch.from_numpy(order)], self.sample.texts)

    def to_keep(self) -> dict[str, Features]:
        """Returns plates that must not be forgotten, by name."""
        kept = {
            group[0].source: self._features(group)
            for group in by_source(plate for plate in self._kept_held_out if plate.text)
        }
        rendered = features_of(self._network, self._rehearsal.forgetting())
        return {"rendered plates": rendered, **kept}

    def _features(self, plates: Iterable[RealPlate]) -> Features:
        crops = (LabelledCrop(framed(each, margin_x=0, margin_y=0), each.text) for each in plates)
        return features_of(self._network, crops)

    def _schedule(self, title: str, share: float, lr: float = LR) -> Schedule:
        checkpoint = self._rehearsal.folder / f"{title}.pt"
        return Schedule(title, checkpoint, share * self._rehearsal.minutes, lr)

    def _train(self, start: Weights, numbers: Sequence[int], schedule: Schedule) -> Weights:
        if not schedule.checkpoint.is_file():
            save_weights(schedule.checkpoint, fine_tune(start, self._material, numbers, schedule))
        weights: Weights = read_checkpoint(schedule.checkpoint)[MODEL]
        return weights
