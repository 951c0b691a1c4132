"""Teaches a network: trains it on folds of your data, chooses a candidate, and proves its gain.

The candidates are networks on the line from the old weights to the mean of the trained ones: some
gain and forget nothing (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022). No
network is measured on what it was trained on, and its place on the line is chosen with the other
folds. These choices depend on each other, so p takes account of them (see proof). What a candidate
forgets is measured on the file that ships.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from train.evaluation.evaluation_tables import Table
from train.evaluation.reader_accuracy import ReadResult
from train.export.onnx_networks import Precision
from train.learn.fine_tuning import mean_of, on_line
from train.learn.inputs import Weights
from train.learn.label_checks import Suspect
from train.learn.proof import Accuracy, Draws, Scores, p_of_chosen, resamples
from train.manifest.weight_origin import Network
from train.train_error import TrainError

FOLDS = 3
"""Number of folds. Each costs a training, and each network trains on two thirds of the plates."""
SHARES = (0.15, 0.3, 0.5, 0.7, 1.0)
"""Places of the candidates on the line: 0 is the old network, 1 the new one. With six, one in six
networks without a gain passed the gate."""
MAX_LOSS, MIN_LOST = 0.005, 1
"""Largest loss of a set that must not be forgotten: a share of its plates, or one plate."""
MAX_P = 0.1
"""Largest p of a gain: the gate is one-sided, at 90 %."""
Answer = TypeVar("Answer")
"""What a network gives for a plate or an image."""
Folds = Sequence[Sequence[int]]
"""Numbers of the plates or images of each fold."""


@dataclass(frozen=True)
class KeptSet:
    """Plates that must not be forgotten: how many, and the shares that are read or found."""

    name: str
    count: int
    before: float
    after: float

    @property
    def is_forgotten(self) -> bool:
        """Whether too many fewer plates are read or found."""
        return round((self.before - self.after) * self.count) > max(MIN_LOST, MAX_LOSS * self.count)


@dataclass(frozen=True, eq=False)
class Shipped:
    """A network in the file of a bundle, and what it keeps."""

    file: Path
    section: dict[str, Any]  # changes of its section in `bundle.toml`
    refused: str  # why it is not INT8 as before; empty if it is
    kept: Sequence[KeptSet]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A network on the line, and what it gains on held-out data of yours."""

    share: float
    gain: float  # of the mean log-probability of a label per character, or of mAP50-95
    shipped: Shipped

    @property
    def forgets(self) -> list[KeptSet]:
        """The sets that it forgets."""
        return [each for each in self.shipped.kept if each.is_forgotten]


@dataclass(frozen=True, eq=False)
class Results:
    """What the report shows of held-out data."""

    unit: str  # what is counted
    measures: dict[str, Accuracy]  # the report begins with the first
    table: Table
    section: dict[str, Any]  # calibration, for the network's section in `bundle.toml`
    flipped: Sequence[tuple[ReadResult, ReadResult]] = ()  # plates that one side reads correctly


class Lesson(Protocol[Answer]):
    """What is learnt: your plates or images, by number, and a network to start from."""

    network: Network
    base: Weights
    groups: Sequence[str]  # the vehicle or scene of each plate or image
    proving: Sequence[int]  # those that prove the gain
    draws: int  # number of resamples
    enough: float  # share of the greatest gain that makes a network nearer to the base better
    precision: Precision  # of the base

    def train(self, title: str, numbers: Sequence[int]) -> Weights:
        """Trains on these, or loads what was trained under this title."""

    def answers(self, weights: Weights, numbers: Sequence[int]) -> Sequence[Answer]:
        """Returns what a network gives for these."""

    def scores(self, answers: Sequence[Answer], weights: Draws, /) -> Scores:
        """Returns what the gate judges, for each row of the weights of the answers."""

    def suspects(self, before: Sequence[Answer], after: Sequence[Answer], /) -> list[Suspect]:
        """Returns the labels that are probably wrong, worst first."""

    def export(self, weights: Weights, file: Path, precision: Precision) -> None:
        """Exports a network; raises TrainError if that costs accuracy."""

    def kept(
        self, file: Path, before: Sequence[Answer], after: Sequence[Answer], /
    ) -> tuple[dict[str, Any], list[KeptSet]]:
        """Returns changes of the section in `bundle.toml`, and what an exported network keeps.

        The answers are those for your data that prove, before and after.
        """

    def results(
        self, numbers: Sequence[int], sides: Sequence[Sequence[Answer]], section: dict[str, Any], /
    ) -> Results:
        """Compares what was given for these before and after."""


@dataclass(frozen=True, eq=False)
class Taught:
    """A network that was taught, and the paired test on held-out plates or images."""

    network: Network
    candidates: Sequence[Candidate]  # the last one is chosen
    results: Results
    count: int  # of the held-out plates or images
    vehicles: int
    p: float  # one-sided: probability of such a gain if there is none
    doubts: Sequence[Suspect]  # worst first
    left_out: int  # of them

    @property
    def chosen(self) -> Candidate:
        """The candidate for the bundle."""
        return self.candidates[-1]

    @property
    def headline(self) -> tuple[str, Accuracy]:
        """The first measure and its name."""
        return next(iter(self.results.measures.items()))

    @property
    def reasons(self) -> list[str]:
        """Why the gate refuses it; empty if it passes."""
        reasons = [
            f"forgot {each.name}: {each.before:.1%} before, {each.after:.1%} after, of {each.count}"
            for each in self.chosen.forgets
        ]
        if self.chosen.gain <= 0 or self.p > MAX_P:
            name, value = self.headline
            reasons.append(
                f"no proven gain on {self.count} held-out {self.results.unit}: {name} "
                f"{value.before:.1%} before, {value.after:.1%} after "
                f"(p = {self.p:.2f}, at most {MAX_P} is needed)"
            )
        return reasons


def teach(lesson: Lesson[Answer], work: Path, *, trust: bool) -> Taught:
    """Trains, leaves out suspicious labels, and proves a candidate that forgets nothing.

    Exported candidates are in the folder `work`.
    """
    folds = vehicle_folds(lesson.groups)
    before = lesson.answers(lesson.base, range(len(lesson.groups)))
    networks = _train(lesson, folds, "")
    first = _held_out(lesson, folds, networks, 1.0)
    doubts = lesson.suspects(before, [first[number] for number in sorted(first)])
    left_out = set() if trust else {each.number for each in doubts}
    if left_out:
        fewer = ([number for number in fold if number not in left_out] for fold in folds)
        folds = [*filter(None, fewer)]
        networks = _train(lesson, folds, " without suspicious labels")
    proving = [number for number in lesson.proving if number not in left_out]
    after = {share: _held_out(lesson, folds, networks, share) for share in SHARES}
    mean = mean_of(networks)

    @cache
    def shipped_at(share: float) -> Shipped:
        file = work / f"{lesson.network} {share:.0%}.onnx"
        precision, refused = _export(lesson, on_line(lesson.base, mean, share), file)
        sides = ([each[number] for number in proving] for each in (before, after[share]))
        section, kept = lesson.kept(file, *sides)
        return Shipped(file, section | {"precision": precision}, refused, kept)

    def gains_of(numbers: Sequence[int], draws: int) -> Scores:
        weights = resamples([lesson.groups[number] for number in numbers], draws)
        old = lesson.scores([before[number] for number in numbers], weights)
        new = ([each[number] for number in numbers] for each in after.values())
        return np.array([lesson.scores(side, weights) - old for side in new])

    def best(gains: Scores) -> list[Candidate]:
        of_share = dict(zip(after, gains[:, 0].tolist(), strict=True))
        return choose(of_share, lesson.enough, shipped_at)

    gains, nested = gains_of(proving, lesson.draws), dict[int, Answer]()
    for fold in folds:
        others = gains_of([number for number in proving if number not in fold] or proving, 0)
        nested |= {number: after[best(others)[-1].share][number] for number in fold}
    candidates = best(gains)
    chosen, sides = candidates[-1], [[each[n] for n in proving] for each in (before, nested)]
    return Taught(
        network=lesson.network,
        candidates=candidates,
        results=lesson.results(proving, sides, chosen.shipped.section),
        count=len(proving),
        vehicles=len({lesson.groups[number] for number in proving}),
        p=p_of_chosen(gains, [*after].index(chosen.share)),
        doubts=doubts,
        left_out=len(left_out),
    )


def choose(
    gains: Mapping[float, float], enough: float, shipped_at: Callable[[float], Shipped]
) -> list[Candidate]:
    """Returns the candidates that were measured; the last one is chosen.

    The nearest with `enough` of the greatest gain comes first. The first that forgets nothing is
    chosen; if all forget something, the first one.
    """
    best = max(gains.values())
    near = sorted(share for share, gain in gains.items() if gain >= enough * best)
    others = sorted(gains, key=lambda share: -gains[share])
    measured: list[Candidate] = []
    for share in dict.fromkeys([*near, *others]):
        measured.append(Candidate(share, gains[share], shipped_at(share)))
        if not measured[-1].forgets:
            return measured
    return [*measured[1:], measured[0]]


def vehicle_folds(vehicles: Sequence[str]) -> list[list[int]]:
    """Returns the numbers of each fold's plates, given their vehicles; sizes are similar."""
    counts, sizes = Counter(vehicles), [0] * FOLDS
    fold_of: dict[str, int] = {}
    digests = {name: hashlib.sha256(name.encode()).digest() for name in counts}
    for vehicle in sorted(counts, key=lambda name: (-counts[name], digests[name])):
        fold_of[vehicle] = sizes.index(min(sizes))
        sizes[fold_of[vehicle]] += counts[vehicle]
    return [[i for i, each in enumerate(vehicles) if fold_of[each] == k] for k in range(FOLDS)]


def _export(lesson: Lesson[Any], weights: Weights, file: Path) -> tuple[Precision, str]:
    """Exports a network, in float16 if INT8 would cost accuracy; returns the reason as well."""
    try:
        lesson.export(weights, file, lesson.precision)
    except TrainError as error:
        if lesson.precision != "int8":
            raise
        lesson.export(weights, file, "float16")
        return "float16", str(error)
    return lesson.precision, ""


def _train(lesson: Lesson[Answer], folds: Folds, suffix: str) -> list[Weights]:
    """Trains a network for each fold, without its plates."""
    every = sorted(number for fold in folds for number in fold)
    return [
        lesson.train(f"fold {k} of {FOLDS}{suffix}", [n for n in every if n not in left_out])
        for k, left_out in enumerate(map(set, folds), 1)
    ]


def _held_out(
    lesson: Lesson[Answer], folds: Folds, networks: Sequence[Weights], share: float
) -> dict[int, Answer]:
    """Returns what the network without a plate, at a place on its line, gives for it."""
    given: dict[int, Answer] = {}
    for network, numbers in zip(networks, folds, strict=True):
        answers = lesson.answers(on_line(lesson.base, network, share), numbers)
        given |= zip(numbers, answers, strict=True)
    return given
