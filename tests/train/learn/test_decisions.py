"""Folds, formats, suspicious labels, and the gate."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from train.dataset.formats.image_labels import LabelledBox
from train.learn.candidates import Candidate, KeptSet, choose, preferred
from train.learn.features import Weights
from train.learn.fine_tuning import Course, best_place, follow
from train.learn.gather import OwnPlate, OwnPlates
from train.learn.label_checks import suspects
from train.learn.own_formats import layouts_like
from train.learn.proof import paired_bootstrap, prove, refusals, wilson
from train.learn.reads import Reads, reads_of
from train.learn.vehicle_folds import FOLDS, vehicle_folds, with_others
from train.reader.batches import COLUMNS
from train.reader.platenet import CLASSES, ROWS
from train.reader.real_plates import whole_crop
from train.synth.plate_texts import random_rows

BLACK = np.zeros((40, 120, 3), np.uint8)
NOTHING_LOST = Candidate(1.0, 0.1, (KeptSet("rendered plates", 2000, 0.80, 0.795),))


def plate(text: str) -> OwnPlate:
    box = LabelledBox((0, 0, 1, 1), text=text)
    return OwnPlate(whole_crop(BLACK, text, "mine"), Path("x.png"), box)


def reads(texts: list[str], labels: list[str], *, sure: float = 0.99) -> Reads:
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


def test_self_label_of_a_held_out_vehicle_is_not_trained_on():
    proving = [plate(text) for text in ("AB1", "AB2", "AB3")]
    others = [plate(text) for text in ("AB3", "XY1", "A83")]
    assert with_others([0, 1], OwnPlates(proving, others)) == [0, 1, 4, 5]


def test_training_ends_when_held_out_plates_are_not_read_better():
    def networks() -> Iterator[Weights]:
        for _ in range(9):
            yield {}

    scores = iter([-1.0, -0.5, -0.6, -0.5, -0.9, -0.1])
    course = follow(networks(), lambda _: next(scores))
    assert course.scores == [-1.0, -0.5, -0.6, -0.5, -0.9]
    longer = Course([{}] * 9, [-3.0] * 8 + [0.0])
    later = Course([{}] * 6, [-1.0, -0.9, -0.8, -0.1, -0.2, -0.3])
    assert best_place([course, later]) == 3
    assert best_place([course, longer]) == 1, "a place that all trainings have"


def test_rendered_plates_have_the_formats_of_the_labels():
    rng = np.random.default_rng(0)
    one, two = (layouts_like(["12345678AB"], share, seed=1) for share in (0, 1))
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


def test_gain_on_many_vehicles_is_proven_and_on_one_is_not():
    labels = [f"AB{n:02d}" for n in range(30)]
    wrong, right = reads([f"AB{n:02d}X" for n in range(30)], labels), reads(labels, labels)
    better = prove(wrong, right, labels)
    _, exact = better.headline
    assert (exact.before, exact.after, better.p) == (0, 1, 0)
    assert not refusals(better, NOTHING_LOST)
    (reason,) = refusals(prove(right, wrong, labels), NOTHING_LOST)
    assert reason.startswith(
        "no proven gain on 30 held-out plates: exact 100.0% before, 0.0% after"
    )
    gains = np.array([1.0] * 20 + [-0.2] * 10, np.float32)
    one = ["AB00"] * 20 + labels[:10]
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
    labels = [f"AB{n:02d}" for n in range(30)]
    gained = prove(reads(["X"] * 30, labels), reads(labels, labels), labels)
    assert bool(refusals(gained, Candidate(1.0, 0.1, (kept,)))) == forgotten


def test_interval_is_wilsons():
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 5)[0] == pytest.approx(0)


def test_first_candidate_that_forgets_nothing_is_chosen():
    def kept_at(share: float) -> tuple[KeptSet, ...]:
        return (KeptSet("old", 100, 1.0, 1.0 - share / 10),)

    gains = {0.1: 0.1, 0.5: 0.2, 1.0: 0.4}
    chosen, measured = choose(gains, kept_at)
    assert (chosen.share, [each.share for each in measured]) == (0.1, [1.0, 0.5, 0.1])
    chosen, _ = choose({0.5: 0.2, 1.0: 0.4}, kept_at)
    assert (chosen.share, len(chosen.forgets)) == (1.0, 1), "the gate then refuses it"


def test_network_near_the_base_is_preferred_if_it_gains_nearly_as_much():
    assert preferred({0.3: 0.2, 0.5: 0.39, 0.8: 0.4, 1.0: 0.3}) == [0.5, 0.8, 1.0, 0.3]
    assert preferred({0.3: -0.2, 1.0: -0.1})[-1] == 0.3
