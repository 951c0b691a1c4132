"""Folds, formats, suspicious labels, and the gate."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plateid.core.reading import single_reading
from plateid.core.taught_syntax import TaughtSyntax
from train.dataset.formats.image_labels import LabelledBox
from train.evaluation.evaluation_tables import Table
from train.export.onnx_networks import Precision
from train.learn.gather import OwnPlate
from train.learn.inputs import Read, Weights, reads_of
from train.learn.label_checks import Suspect, suspects
from train.learn.proof import Draws, Scores, paired_bootstrap, shares_of, weighted_means
from train.learn.reader_lesson import _as_device, _temperature
from train.learn.rehearsal import layouts_like
from train.learn.teaching import (
    FOLDS,
    MAX_P,
    Candidate,
    KeptSet,
    Results,
    Shipped,
    Taught,
    choose,
    teach,
    vehicle_folds,
)
from train.manifest.weight_origin import Network
from train.reader.batches import COLUMNS
from train.reader.platenet import CLASSES, ROWS
from train.reader.real_plates import whole_crop
from train.synth.plate_texts import random_rows

BLACK = np.zeros((40, 120, 3), np.uint8)
NOTHING_LOST = KeptSet("rendered plates", 2000, 0.80, 0.795)


def plate(text: str) -> OwnPlate:
    box = LabelledBox((0, 0, 1, 1), text=text)
    return OwnPlate(whole_crop(BLACK, text, "mine"), Path("x.png"), box)


def reads(texts: list[str], labels: list[str], *, sure: float = 0.99) -> list[Read]:
    """Returns reads of a network that gives each character of the texts this probability."""
    steps = np.full((len(texts), ROWS * COLUMNS, CLASSES), (1 - sure) / (CLASSES - 1), np.float32)
    for row, text in zip(steps, texts, strict=True):
        row[:, 0] = sure
        for place, character in enumerate(text):
            column = 1 + "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ".index(character)
            row[2 * place, [0, column]] = row[2 * place, [column, 0]]
    logs = np.log(steps / steps.sum(axis=2, keepdims=True))
    return reads_of(torch.from_numpy(logs), labels)


def test_a_vehicle_is_in_one_fold_and_folds_have_similar_sizes():
    vehicles = [f"AB{n // 3}" for n in range(90)]
    folds = vehicle_folds(vehicles)
    assert [len(numbers) for numbers in folds] == [30] * FOLDS
    assert sum(len({vehicles[number] for number in numbers}) for numbers in folds) == 30


class NoiseLesson:
    """A lesson whose networks differ by chance only. The weight is the place on the line."""

    network: Network = "reader"
    draws, enough = 200, 0.95
    precision: Precision = "float16"

    def __init__(self, seed: int, plates: int = 30) -> None:
        self.base, self.trained = {"w": torch.zeros(1)}, list[list[int]]()
        self.groups: Sequence[str] = [f"AB{n}" for n in range(plates)]
        self.proving: Sequence[int] = range(plates)
        self.noise = np.random.default_rng(seed).normal(size=(plates, 101))
        self.noise[:, 0] = 0
        self.wrong: set[int] = set()

    def train(self, _title: str, numbers: Sequence[int]) -> Weights:
        self.trained.append([*numbers])
        return {"w": torch.ones(1)}

    def answers(self, weights: Weights, numbers: Sequence[int]) -> list[float]:
        return [float(self.noise[number, round(100 * weights["w"].item())]) for number in numbers]

    def scores(self, answers: Sequence[float], weights: Draws) -> Scores:
        return weighted_means(np.array(answers), weights)

    def export(self, *_: object) -> None:
        pass

    def kept(self, *_: object) -> tuple[dict[str, Any], list[KeptSet]]:
        return {}, []

    def suspects(self, *_: object) -> list[Suspect]:
        return [Suspect(number, BLACK, "AB1", "AB2", 9.0, "wrong text") for number in self.wrong]

    def results(self, *_: object) -> Results:
        return Results("plates", {}, Table("", (), ()), {})


def test_one_in_ten_networks_without_a_gain_passes_the_gate():
    taught = [teach(NoiseLesson(seed), Path(), trust=False) for seed in range(300)]
    passed = sum(each.p <= MAX_P for each in taught)
    assert 0.05 <= passed / len(taught) <= 0.15
    too_good = sum(each.chosen.gain > 0 for each in taught)
    assert too_good > 0.8 * len(taught), "the chosen candidate looks better than it is"


def test_suspicious_labels_are_neither_trained_on_nor_counted():
    lesson = NoiseLesson(0)
    lesson.wrong = {3, 5}
    taught = teach(lesson, Path(), trust=False)
    assert (taught.left_out, len(lesson.trained)) == (2, 2 * FOLDS)
    assert all({3, 5}.isdisjoint(numbers) for numbers in lesson.trained[FOLDS:])
    trusting = NoiseLesson(0)
    trusting.wrong = {3, 5}
    taught = teach(trusting, Path(), trust=True)
    assert (taught.left_out, len(taught.doubts), len(trusting.trained)) == (0, 2, FOLDS)


def test_fold_of_suspicious_labels_only_is_left_out():
    lesson = NoiseLesson(0)
    lesson.wrong = {*vehicle_folds(lesson.groups)[0]}
    taught = teach(lesson, Path(), trust=False)
    assert len(lesson.trained) == FOLDS + FOLDS - 1
    assert taught.count == 20


def test_rendered_plates_have_the_formats_of_the_labels():
    rng = np.random.default_rng(0)
    one, two = (layouts_like(["12345678AB"], share) for share in (0, 1))
    for layouts, rows in ((one, 1), (two, 2)):
        for layout in layouts:
            drawn = random_rows(rng, layout)
            assert len(drawn) == rows
            text = "".join(part.characters for row in drawn for part in row)
            assert (text[:8].isdigit(), text[8:].isalpha(), len(text)) == (True, True, 10)
    assert all(layout.model_validate(layout.model_dump()) for layout in (*one, *two))


def test_label_that_a_confident_network_contradicts_is_suspicious():
    labels = ["AB12", "AB13", "XK90", "AB10", "AB16", "AB17"]
    own = [plate(text) for text in labels]
    before = reads(["", "AB17", "", "", "AB15", "AB16"], labels)
    new = reads(["AB12", "AB14", "CD34", "AB1O", "AB16", "AB17"], labels)
    found = suspects(own, before, new)
    assert [(each.number, each.reason) for each in found] == [(2, "other plate"), (1, "wrong text")]
    unsure = reads(["AB12", "AB14", "CD34", "AB10", "AB16", "AB17"], labels, sure=0.5)
    assert not suspects(own, before, unsure)
    known = reads(["", "AB13", "XK9O", "", "", ""], labels)
    assert not suspects(own, known, new), "the base reads what the labels say"
    assert not suspects(own, before, reads(["CD34"] * 6, labels)), (
        "a network that reads nothing is at fault"
    )


def test_confusion_of_several_vehicles_makes_no_label_suspicious():
    labels = ["AT12", "BT34", "CT56", "DX90", "EK78"]
    own = [plate(text) for text in labels]
    unknown = reads([""] * 5, labels)
    font = reads(["AY12", "BY34", "CY56", "DX99", "EK78"], labels)
    assert [each.label for each in suspects(own, unknown, font)] == ["DX90"], "T is read as Y"
    same = [*own[:1] * 3, *own[3:]]
    texts = ["AT12"] * 3 + labels[3:]
    one = suspects(same, unknown, reads(["AT12", "AT12", "AY12", "DX90", "EK78"], texts))
    assert [each.number for each in one] == [2], "several images of one vehicle are one vehicle"


def test_temperature_does_not_depend_on_that_of_the_base():
    labels = [f"AB{number}" for number in range(10, 50)]
    unsure = reads(["AB99", *labels[1:]], labels, sure=0.8)
    held_out = [_as_device(plate(label), read) for label, read in zip(labels, unsure, strict=True)]
    fitted = [_temperature(held_out, current) for current in (1.0, 1.7)]
    assert fitted[0] == fitted[1]
    assert 0.5 <= fitted[0] < 1


def test_syntax_of_other_plates_makes_a_doubtful_label_likelier():
    label, syntax = "4821937705", TaughtSyntax.of(["0123456789"] * 50)
    doubtful, right = reads(["482193770", label], [label] * 2, sure=0.8)
    assert doubtful.judged_log(label) == pytest.approx(doubtful.label_log)
    taught = replace(doubtful, syntax=syntax)
    assert taught.judged_log(label) > doubtful.judged_log(label)
    assert replace(right, syntax=syntax).judged_log(label) == pytest.approx(right.judged_log(label))
    foreign = replace(doubtful, syntax=TaughtSyntax.of(["AB12"] * 50))
    assert foreign.judged_log(label) == pytest.approx(doubtful.judged_log(label))
    steps = 0.2 * right.steps + 0.8 * doubtful.steps
    shown = (_as_device(plate(label), replace(each, steps=steps)) for each in (doubtful, taught))
    assert [single_reading(each.crop[0]).plate for each in shown] == ["482193770", label]


def reasons(before: float, after: float, p: float, kept: KeptSet) -> list[str]:
    """Returns why the gate refuses a network that reads this share of 30 plates."""
    measures = {"exact": shares_of([before, after], 30)}
    candidate = Candidate(1.0, 0.1, Shipped(Path(), {}, "", (kept,)))
    results = Results("plates", measures, Table("", (), ()), {})
    return Taught("reader", [candidate], results, 30, 30, p, (), 0).reasons


def test_gain_on_many_vehicles_is_proven_and_on_one_is_not():
    assert not reasons(0, 1, 0.1, NOTHING_LOST)
    (reason,) = reasons(1, 0, 0.2, NOTHING_LOST)
    assert reason.startswith(
        "no proven gain on 30 held-out plates: exact 100.0% before, 0.0% after"
    )
    gains = np.array([1.0] * 20 + [-0.2] * 10)
    one = ["AB00"] * 20 + [f"AB{n:02d}" for n in range(10)]
    assert paired_bootstrap(gains, [f"A{n}" for n in range(30)]) < 0.001
    assert paired_bootstrap(gains, one) > 0.1, "twenty images of one vehicle are one vehicle"


@pytest.mark.parametrize(
    ("count", "before", "after", "forgotten"),
    [
        (2000, 0.8, 0.795, False),
        (2000, 0.8, 0.794, True),
        (50, 0.98, 0.96, False),
        (50, 1, 0.96, True),
    ],
)
def test_loss_of_half_a_point_or_one_plate_is_accepted(count, before, after, forgotten):
    kept = KeptSet("old", count, before, after)
    assert kept.is_forgotten == forgotten
    assert bool(reasons(0, 1, 0, kept)) == forgotten


def chosen(gains: dict[float, float], loss: float) -> list[Candidate]:
    """Returns the candidates that are measured if the farthest loses this share of old plates."""

    def shipped_at(share: float) -> Shipped:
        return Shipped(Path(), {}, "", (KeptSet("old", 100, 1.0, 1.0 - loss * share),))

    return choose(gains, 0.95, shipped_at)


def test_first_candidate_that_forgets_nothing_is_chosen():
    measured = chosen({0.1: 0.1, 0.5: 0.2, 1.0: 0.4}, 0.1)
    assert [each.share for each in measured] == [1.0, 0.5, 0.1], "the last is chosen"
    last = chosen({0.5: 0.2, 1.0: 0.4}, 0.1)[-1]
    assert (last.share, len(last.forgets)) == (1.0, 1), "the gate then refuses it"


def test_network_near_the_base_is_preferred_if_it_gains_nearly_as_much():
    forgetful = chosen({0.3: 0.2, 0.5: 0.39, 0.8: 0.4, 1.0: 0.3}, 1)
    assert [each.share for each in forgetful] == [0.8, 1.0, 0.3, 0.5], "0.5 is measured first"
    assert chosen({0.3: 0.2, 0.5: 0.39, 0.8: 0.4, 1.0: 0.3}, 0)[-1].share == 0.5
    assert chosen({0.3: -0.2, 1.0: -0.1}, 1)[-2].share == 0.3
