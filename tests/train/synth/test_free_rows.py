import numpy as np
import pytest

from plateid.core.text import best_text, ctc_positions
from train.reader.batches import UNKNOWN, step_classes
from train.reader.platenet import CLASSES
from train.synth.flat_plate import draw_plate, random_layout
from train.synth.layouts import LENGTHS, layouts, with_free_rows
from train.synth.rendering import LabelledCrop

FREE = next(each for each in layouts() if "*" in each.plates[0].patterns)
WHOLE = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float32)
"""Corners of a plate that fills its crop."""


@pytest.mark.parametrize("pattern", ["*", "* / *"])
def test_free_rows_have_every_length_and_many_formats(pattern):
    rng = np.random.default_rng(0)
    formats = [with_free_rows(rng, pattern) for _ in range(2000)]
    lengths = {len(each.replace(" ", "").replace("/", "")) for each in formats}
    assert lengths == set(range(LENGTHS[0], LENGTHS[1] + 1))
    assert len(set(formats)) > 600
    assert 0.4 < np.mean([set(each) <= set("D /") for each in formats]) < 0.6
    assert any("L" in each and "D" in each for each in formats)


def test_two_free_rows_are_split_at_any_character():
    rng = np.random.default_rng(0)
    formats = [with_free_rows(rng, "* / *").split("/") for _ in range(2000)]
    splits = {tuple(len(row.replace(" ", "")) for row in each) for each in formats}
    assert splits == {(one, n - one) for n in range(3, 13) for one in range(1, n)}


def test_a_pattern_without_a_free_row_stays_as_it_is():
    assert with_free_rows(np.random.default_rng(0), "LL DD / LLL") == "LL DD / LLL"


def test_a_third_of_the_plates_have_a_free_format():
    rng = np.random.default_rng(0)
    chosen = [random_layout(rng)[1].patterns for _ in range(1500)]
    assert np.mean(["*" in "".join(patterns) for patterns in chosen]) > 1 / 3


def test_twelve_characters_in_pairs_fit_into_one_row_of_steps():
    rng = np.random.default_rng(0)
    layout = FREE.plates[0].model_copy(update={"patterns": ("DDDDDD DDDDDD",)})
    for _ in range(20):
        plate = draw_plate(rng, layout, "", cap=40)
        size = plate.image.shape[1::-1]
        centres = (plate.boxes[:, :2] + plate.boxes[:, 2:]) / 2 / size
        text = "".join(digit * 2 for digit in plate.text[::2])
        crop = LabelledCrop(plate.image, text, centres, plate.rows, corners=WHOLE)
        steps = step_classes(crop)
        certain = np.eye(CLASSES, dtype=np.float32)[np.where(steps == UNKNOWN, 0, steps)]
        assert best_text(ctc_positions(certain)) == text
