import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from train.__main__ import main
from train.reader.real_plates import appearance_of, read_plates
from train.synth.appearance import AppearanceLimits
from train.synth.crop_folder import write_crop_folder
from train.synth.flat_plate import random_plate

REAL = [
    random_plate(np.random.default_rng(n), region="de", cap=28).image // 2 + 60 for n in range(9)
]


@pytest.mark.parametrize(
    ("accepted", "change"),
    [
        (True, lambda crop: crop),
        (True, lambda crop: cv2.GaussianBlur(crop, (0, 0), 0.4)),
        (True, lambda crop: cv2.resize(crop, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)),
        (False, lambda crop: crop // 3 + 40),
        (False, lambda crop: cv2.GaussianBlur(crop, (0, 0), 6)),
        (False, lambda crop: crop // np.array([4, 1, 1], np.uint8)),
        (False, lambda crop: cv2.rectangle(crop.copy(), (0, 0), (70, 40), (255, 255, 255), -1)),
    ],
)
def test_crops_that_are_harder_than_the_measured_ones_are_not_accepted(accepted, change):
    limits = AppearanceLimits.measured_on(REAL)
    share = np.mean([limits.accepts(np.asarray(change(crop), np.uint8)) for crop in REAL])
    assert share > 0.4 if accepted else share == 0


def test_a_crop_of_one_pixel_is_not_accepted():
    assert not AppearanceLimits.measured_on(REAL).accepts(np.zeros((1, 1, 3), np.uint8))


def test_a_folder_of_crops_may_contain_only_crops_that_look_like_real_ones(tmp_path):
    real = tmp_path / "real"
    write_crop_folder(real, 40, seed=9, workers=1)
    limits = appearance_of([real])
    write_crop_folder(tmp_path / "alike", 60, like=limits, seed=10, workers=1)
    alike, of_all = (
        {plate.text: plate for side in read_plates([folder]) for plate in side}
        for folder in (tmp_path / "alike", real)
    )
    assert 0 < len(alike) < 1.3 * len(of_all)
    assert all(limits.accepts(plate.image) for plate in alike.values())
    rows = (tmp_path / "alike" / "labels.csv").read_text().splitlines()[1:]
    assert all(row.rpartition(",")[2] for row in rows), "each has a country"
    assert len(list((tmp_path / "alike" / "images").iterdir())) == len(rows)


@pytest.mark.parametrize(
    ("option", "message"),
    [("--like", "--like is for --plates"), ("--plates", "--out and --plates: give one of them")],
)
def test_an_option_that_contradicts_out_is_refused(tmp_path, option, message):
    options = ["synth", "--out", str(tmp_path / "store"), option, str(tmp_path)]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 2
    assert message in result.output
