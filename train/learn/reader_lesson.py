"""What the reader learns: your plates, those of --keep, and rendered ones."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from plateid.core.geometry import sharpness
from plateid.core.records import Image, PlateRead
from plateid.core.taught_syntax import TaughtSyntax
from plateid.core.text import BLANK, ctc_margins, ctc_positions, fold
from plateid.models.bundle import Bundle, ReaderSpec
from train.dataset.grouping import Split
from train.evaluation.confidence_calibration import fit_temperature
from train.evaluation.image_results import LabelledPlate
from train.evaluation.reader_accuracy import ReadResult, grouped_reader_accuracy, in_true_boxes
from train.export.onnx_networks import Precision, export_reader
from train.learn.fine_tuning import (
    Material,
    augmented_crops,
    copies,
    fine_tune,
    mean_of,
    trained_once,
)
from train.learn.gather import OwnPlate
from train.learn.inputs import (
    Inputs,
    Read,
    Weights,
    inputs_of,
    logs_of,
    network_of,
    reads_of,
    texts_in,
)
from train.learn.label_checks import Suspect, suspects
from train.learn.proof import RESAMPLES, Draws, Scores, compared, shares_of, weighted_means
from train.learn.rehearsal import Rehearsal, layouts_like
from train.learn.teaching import KeptSet, Results
from train.manifest.weight_origin import Network
from train.progress import timed, tracked
from train.reader.platenet import COLUMNS, PlateNet
from train.reader.reader_weights import SECTION, SPEC, load_base
from train.reader.real_plates import RealPlate, by_source, framed, plates_of, whole_crop
from train.synth.rendering import LabelledCrop
from train.train_error import TrainError

AUGMENTATION, FOLD = 0.1, 0.11
"""Shares of the command's time: augmented crops, and one of six trainings at most: three, and
three more if labels are suspicious."""
SEEDS = 3
"""Trainings of a fold, which draw other crops. Their mean learns as much as one of them, and
forgets about two thirds as much (see the training log)."""
NARROW = 0.25
"""A plate is narrow if its width per character is less than this share of its height. Two lines of
six to eight characters have about .2, one line has .3 or more."""
MIN_CALIBRATION = 40
"""Smallest number of held-out reads that a temperature is fitted to."""
ENOUGH = 0.85
"""Share of the greatest gain that is enough. The rest of the way hardly reads more plates. It loses
old ones, which rendered plates do not show (see the training log)."""
JUDGED = 8
"""Augmented crops of a plate that the gate judges beside it. The base reads most clear crops: with
20 of them alone, the gate refused a network that read 95 instead of 84 % of other plates."""
MISREAD = -1.0
"""Least log-probability of a label per character that the gate counts. Such a text is not read, and
how wrong the read is makes no difference: one odd label would outweigh 20 others."""
READS = {"exact": "plate_accuracy", "folded": "plate_accuracy_folded"}
"""Headings and attributes of the measures in the report."""
TEMPERATURES = (0.5, 2.0)
"""Least and greatest temperature: few plates must not turn the confidences upside down."""
INT8_PLATES = 600
"""Rendered plates that INT8 is calibrated with, at most. Yours count as much. Real ones beside them
made no difference (see the training log)."""


OwnPlates = tuple[Sequence[OwnPlate], Sequence[int]]
"""Your plates, and the numbers of those that prove the gain."""


class ReaderLesson:
    """The lesson of a reader. An answer is the read of a plate in its box."""

    network: Network = "reader"
    draws, enough = RESAMPLES, ENOUGH

    def __init__(self, bundle: Path, own: OwnPlates, keep: Split, rehearsal: Rehearsal) -> None:
        """Raises TrainError if the reader of the bundle is another network."""
        self._network, self._bundle = PlateNet().eval(), Bundle(bundle)
        self.precision = self._bundle.spec.reader.precision
        self._base_syntax = TaughtSyntax(tuple(self._bundle.spec.reader.syntax.items()))
        load_base(self._network, bundle)
        self.base = {name: each.clone() for name, each in self._network.state_dict().items()}
        self._own, self.proving = own
        self.groups: Sequence[str] = [each.vehicle for each in self._own]
        self._keep = [[plate for image in side for _, plate in plates_of(image)] for side in keep]
        self._rehearsal = rehearsal

    def train(self, title: str, numbers: Sequence[int]) -> Weights:
        """Returns the mean of trainings on these plates. What is done is not done again."""
        return mean_of([self._trained(title, numbers, seed) for seed in range(SEEDS)])

    def _trained(self, fold: str, numbers: Sequence[int], seed: int) -> Weights:
        minutes = FOLD / SEEDS * self._rehearsal.minutes
        title = f"{fold}, training {seed + 1} of {SEEDS}"

        def train() -> Weights:
            return fine_tune(
                self.base, self._material, numbers, seed=seed, title=title, minutes=minutes
            )

        return trained_once(self._rehearsal.folder / f"{title}.pt", train)

    def answers(self, weights: Weights, numbers: Sequence[int]) -> list[Read]:
        """Reads plates, and augmented crops of them for the gate."""
        reads = _read(weights, self._sample.part(numbers))
        chosen = [self._judged[number] for number in numbers]
        augmented = iter(_read(weights, self._material.inputs["own"].part([*chain(*chosen)])))
        answers = []
        for number, read, crops in zip(numbers, reads, chosen, strict=True):
            label = self._own[number].plate.text
            is_base = weights is self.base
            syntax = self._base_syntax if is_base else self._syntax.without(label)
            every = [replace(r, syntax=syntax) for r in (read, *islice(augmented, len(crops)))]
            logs = [max(each.judged_log(label), MISREAD) for each in every]
            answers.append(replace(every[0], judged=float(np.mean(logs))))
        return answers

    def scores(self, answers: Sequence[Read], weights: Draws, /) -> Scores:
        """Returns the mean log-probability of the label per character, weighed by the syntax."""
        return weighted_means(np.array([read.judged for read in answers]), weights)

    def suspects(self, before: Sequence[Read], after: Sequence[Read], /) -> list[Suspect]:
        """Returns the labels that a network contradicts, worst first."""
        return suspects(self._own, before, after)

    def results(
        self, numbers: Sequence[int], sides: Sequence[Sequence[Read]], _section: dict[str, Any], /
    ) -> Results:
        """Compares the reads of these plates by what makes them hard to read."""
        own = [self._own[number] for number in numbers]
        plates = [[*map(_as_device, own, side)] for side in sides]
        old, new = map(in_true_boxes, plates)
        groups = [grouped_reader_accuracy(each, each) for each in (old, new)]
        every = [each["all"][0].crops for each in groups]
        vehicles = len({each.vehicle for each in own})
        return Results(
            unit="plates",
            measures={
                name: shares_of([getattr(each, attribute) for each in every], vehicles)
                for name, attribute in READS.items()
            },
            table=compared("plates", groups, ("all", "characters", "lines", "light"), READS),
            section={"temperature": _temperature(plates[1], self._bundle.spec.reader.temperature)},
            flipped=sorted(
                (pair for pair in zip(old, new, strict=True) if len({*map(_is_exact, pair)}) > 1),
                key=lambda pair: _is_exact(pair[1]),
            ),  # worse ones first
        )

    def export(self, weights: Weights, file: Path, precision: Precision) -> None:
        """Exports a network. INT8 must read your plates; rendered ones calibrate it as well."""
        own = [replace(self._own[number].plate, source="own") for number in self.proving]
        rendered = [whole_crop(each.image, each.text, "rendered") for each in self._replay]
        plates = [*own, *rendered[:INT8_PLATES]], own
        export_reader(network_of(weights), file, precision=precision, plates=plates)

    def kept(
        self, file: Path, _before: Sequence[Read], _after: Sequence[Read], /
    ) -> tuple[dict[str, Any], list[KeptSet]]:
        """Reads the plates that must not be forgotten."""
        syntax = {"syntax": dict(self._syntax.counts)} if self._syntax.counts else {}
        model, spec = file.read_bytes(), SPEC.model_copy(update=syntax)
        sets = [
            KeptSet(plates[0].source, len(plates), before, _accuracy(model, spec, plates))
            for plates, before in self._to_keep
        ]
        return SECTION | syntax, sets

    @cached_property
    def _syntax(self) -> TaughtSyntax:
        """The syntax of the vehicles that prove the gain; that of the base if they have none."""
        own = [self._own[number] for number in self.proving]
        taught = TaughtSyntax.of({each.vehicle: each.plate.text for each in own}.values())
        return taught if taught.counts else self._base_syntax

    @cached_property
    def _sample(self) -> Inputs:
        crops = [LabelledCrop(_crop(each.plate), each.plate.text) for each in self._own]
        return inputs_of(tracked(crops, "Preparing crops"))

    @cached_property
    def _judged(self) -> dict[int, list[int]]:
        """The numbers of the augmented crops of each plate that show its text."""
        crops: dict[int, list[int]] = {number: [] for number in range(len(self._own))}
        texts = self._material.inputs["own"].texts
        for crop, (number, text) in enumerate(zip(self._material.plates, texts, strict=True)):
            if text and len(crops[number]) < JUDGED:
                crops[number].append(crop)
        return crops

    @cached_property
    def _replay(self) -> list[LabelledCrop]:
        return self._rehearsal.crops("replay")

    @cached_property
    def _material(self) -> Material:
        """Augments crops, fewer if the time does not suffice."""
        steps = logs_of(self._network, self._sample)[:, COLUMNS:].argmax(dim=2)
        seen = (steps != BLANK).any(dim=1).tolist()
        own = [each.plate for each in self._own]
        two_lines = float(np.mean([s or _is_narrow(p) for s, p in zip(seen, own, strict=True)]))
        rng, (kept, _) = np.random.default_rng(0), self._keep
        numbers = self._numbers(rng)
        crops = {
            "own": augmented_crops(rng, [own[number] for number in numbers]),
            "similar": self._rehearsal.crops(
                "similar", layouts_like(self._sample.texts, two_lines)
            ),
            **({"kept": augmented_crops(rng, kept * copies(kept))} if kept else {}),
            "replay": self._replay,
        }
        seconds, least = 60 * AUGMENTATION * self._rehearsal.minutes / len(crops), len(self.proving)
        inputs = {
            kind: inputs_of(timed(each, f"Augmenting crops: {kind}", seconds, least=least), rng)
            for kind, each in crops.items()
        }
        taught = logs_of(self._network, inputs["replay"])
        return Material(inputs, numbers[: len(inputs["own"].texts)], taught)

    def _numbers(self, rng: np.random.Generator) -> list[int]:
        """Returns the number of the plate of each crop. Each plate that proves the gain is first.

        There are as many crops of self-labelled plates at most, one of each.
        """
        proving, count = [*self.proving], copies(self.proving)
        others = rng.permutation([*{*range(len(self._own))} - {*proving}])[: count * len(proving)]
        rest = rng.permutation([*proving * (count - 1), *others])
        return [*proving, *map(int, rest)]

    @cached_property
    def _to_keep(self) -> list[tuple[list[RealPlate], float]]:
        """Plates that must not be forgotten, by source, and the shares that the base reads."""
        crops = self._rehearsal.crops("forgetting")
        rendered = [whole_crop(each.image, each.text, "rendered plates") for each in crops]
        groups = by_source(each for each in (*rendered, *self._keep[1]) if each.text)
        model, spec = self._bundle.reader, self._bundle.spec.reader
        return [(each, _accuracy(model, spec, each)) for each in groups]


def _crop(plate: RealPlate) -> Image:
    return framed(plate, margin_x=SPEC.margin_x, margin_y=SPEC.margin_y)


def _is_narrow(plate: RealPlate) -> bool:
    """Returns whether the text has two lines, also if the base cannot read them."""
    x1, y1, x2, y2 = plate.box
    return plate.lines == 2 or (x2 - x1) < NARROW * (y2 - y1) * len(plate.text)


def _read(weights: Weights, inputs: Inputs) -> list[Read]:
    return reads_of(logs_of(network_of(weights), inputs), inputs.texts)


def _accuracy(model: bytes, spec: ReaderSpec, plates: Sequence[RealPlate]) -> float:
    """Returns the share of the plates that the reader of a file reads (folded)."""
    texts = texts_in(model, spec, tracked(plates, "Reading"))
    pairs = zip(texts, plates, strict=True)
    return float(np.mean([fold(text) == fold(plate.text) for text, plate in pairs]))


def _is_exact(result: ReadResult) -> bool:
    return result.reading.plate == result.plate.text


def _as_device(own: OwnPlate, read: Read) -> LabelledPlate:
    """Returns a plate with what the device reads in it."""
    crop, (_, top, _, bottom) = _crop(own.plate), own.plate.box
    positions, margins = ctc_positions(read.steps), ctc_margins(read.steps)
    reads = (PlateRead(positions, sharpness(crop), bottom - top, margins, read.syntax),)
    luma = float(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY).mean())
    source, box = own.plate.source, own.plate.box
    return LabelledPlate(source, own.path, own.labels, box, luma, None, reads, reads, 1.0)


def _temperature(reads: Sequence[LabelledPlate], current: float) -> float:
    """Fits the temperature to held-out reads, which have none; keeps the current one if few."""
    if len(reads) >= MIN_CALIBRATION:
        with suppress(TrainError):  # all are correct, or all are wrong
            least, greatest = TEMPERATURES
            return min(max(fit_temperature(reads, current=1.0).value, least), greatest)
    return current
