"""Teaches a network: trains it on folds of your data, chooses a candidate, and proves its gain.

No network is measured on what it was trained on, and its place on the line is chosen with the other
folds. These choices depend on each other, so p takes account of them (see proof).
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from train.evaluation.evaluation_tables import Table, number
from train.evaluation.reader_accuracy import ReadResult
from train.learn.candidates import SHARES, Candidate, Kept, choose
from train.learn.fine_tuning import mean_of, on_line
from train.learn.inputs import Weights
from train.learn.label_checks import Suspect
from train.learn.proof import Accuracy, Proof, Scores, p_of_chosen, refusals, resamples
from train.learn.proof import Weights as Draws
from train.manifest.weight_origin import Network

FOLDS = 3
"""Number of folds. Each costs a training, and each network trains on two thirds of the plates."""
Answer = TypeVar("Answer")
"""What a network gives for a plate or an image."""
Folds = Sequence[Sequence[int]]
"""Numbers of the plates or images of each fold."""


@dataclass(frozen=True, eq=False)
class Results:
    """What the report shows of held-out data."""

    unit: str  # what is counted
    measures: dict[str, Accuracy]  # the report begins with the first
    table: Table
    calibration: float  # the reader's temperature, or the detector's score threshold
    flipped: Sequence[tuple[ReadResult, ReadResult]] = ()  # plates that one side reads correctly


class Lesson(Protocol[Answer]):
    """What is learnt: your plates or images, by number, and a network to start from."""

    network: Network
    base: Weights
    groups: Sequence[str]  # the vehicle or scene of each plate or image
    proving: Sequence[int]  # those that prove the gain
    draws: int  # number of resamples

    def train(self, title: str, numbers: Sequence[int]) -> Weights:
        """Trains on these, or loads what was trained under this title."""

    def answers(self, weights: Weights, numbers: Sequence[int]) -> Sequence[Answer]:
        """Returns what a network gives for these."""

    def scores(self, answers: Sequence[Answer], weights: Draws, /) -> Scores:
        """Returns what the gate judges, for each row of the weights of the answers."""

    def kept(self, weights: Weights, before: Sequence[Answer], after: Sequence[Answer], /) -> Kept:
        """Measures what a network forgets. The answers are those for your data that prove."""

    def suspects(self, before: Sequence[Answer], after: Sequence[Answer], /) -> list[Suspect]:
        """Returns the labels that are probably wrong, worst first."""

    def results(
        self, numbers: Sequence[int], sides: Sequence[Sequence[Answer]], threshold: float, /
    ) -> Results:
        """Compares what was given for these before and after."""

    def write(
        self, folder: Path, weights: Weights, calibration: float
    ) -> tuple[dict[str, Any], str]:
        """Writes the network into a bundle.

        Returns the changes of its section in `bundle.toml`, and why it is not INT8, if so.
        """


@dataclass(frozen=True, eq=False)
class Taught:
    """A network that was taught, and what it gains and forgets."""

    network: Network
    proof: Proof
    results: Results
    candidates: Sequence[Candidate]  # the last one is chosen
    write: Callable[[Path], tuple[dict[str, Any], str]]
    doubts: Sequence[Suspect]  # worst first
    left_out: int  # of them

    @property
    def chosen(self) -> Candidate:
        """The candidate for the bundle."""
        return self.candidates[-1]

    @property
    def reasons(self) -> list[str]:
        """Why the gate refuses it; empty if it passes."""
        return refusals(self.proof, self.chosen)


def teach(lesson: Lesson[Answer], *, trust: bool) -> Taught:
    """Trains, leaves out suspicious labels, and proves a candidate that forgets nothing."""
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
    def kept_at(share: float) -> Kept:
        old, new = ([each[number] for number in proving] for each in (before, after[share]))
        return lesson.kept(on_line(lesson.base, mean, share), old, new)

    def gains_of(numbers: Sequence[int], draws: int) -> Scores:
        weights = resamples([lesson.groups[number] for number in numbers], draws)
        old = lesson.scores([before[number] for number in numbers], weights)
        new = ([each[number] for number in numbers] for each in after.values())
        return np.array([lesson.scores(side, weights) - old for side in new])

    def best(gains: Scores) -> list[Candidate]:
        return choose(dict(zip(after, gains[:, 0].tolist(), strict=True)), kept_at)

    gains, nested = gains_of(proving, lesson.draws), dict[int, Answer]()
    for fold in folds:
        others = gains_of([number for number in proving if number not in fold] or proving, 0)
        nested |= {number: after[best(others)[-1].share][number] for number in fold}
    candidates = best(gains)
    chosen, sides = candidates[-1], [[each[n] for n in proving] for each in (before, nested)]
    results = lesson.results(proving, sides, chosen.kept.threshold)
    weights = on_line(lesson.base, mean, chosen.share)
    return Taught(
        network=lesson.network,
        proof=Proof(
            unit=results.unit,
            count=len(proving),
            vehicles=len({lesson.groups[number] for number in proving}),
            measures=results.measures,
            gain=chosen.gain,
            p=p_of_chosen(gains, [*after].index(chosen.share)),
        ),
        results=results,
        candidates=candidates,
        write=partial(lesson.write, weights=weights, calibration=results.calibration),
        doubts=doubts,
        left_out=len(left_out),
    )


def compared(
    what: str, sides: Sequence[Any], groups: Sequence[str], measures: dict[str, str]
) -> Table:
    """Returns the accuracy before and after, by group."""
    rows = []
    for pair in zip(*([each for name in groups for each in s[name]] for s in sides), strict=True):
        both = [getattr(each, "crops", each) for each in pair]
        values = (number(getattr(each, name)) for name in measures.values() for each in both)
        rows.append((pair[0].name, str(both[0].plates), *values))
    headings = (heading for name in measures for heading in (f"{name} before", "after"))
    return Table(f"Your {what}, held out", ("", "plates", *headings), rows)


def vehicle_folds(vehicles: Sequence[str]) -> list[list[int]]:
    """Returns the numbers of each fold's plates, given their vehicles; sizes are similar."""
    counts, sizes = Counter(vehicles), [0] * FOLDS
    fold_of: dict[str, int] = {}
    for vehicle in sorted(counts, key=lambda name: (-counts[name], _digest(name))):
        fold_of[vehicle] = sizes.index(min(sizes))
        sizes[fold_of[vehicle]] += counts[vehicle]
    return [[i for i, each in enumerate(vehicles) if fold_of[each] == k] for k in range(FOLDS)]


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


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
