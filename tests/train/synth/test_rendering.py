from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from plateid.core.text import CHARSET
from train.__main__ import main
from train.reader.contact_sheet import write_contact_sheet
from train.reader.real_plates import read_plates
from train.synth.crop_database import CropDatabase, fill_crop_database, write_crop_folder
from train.synth.flat_plate import random_plate
from train.synth.rendering import NO_PLATE, LabelledCrop, RenderPlan, render_crop
from train.train_error import TrainError


def test_a_crop_has_the_centre_and_the_row_of_each_character():
    crops = [render_crop(np.random.default_rng((7, n))) for n in range(200)]
    silent = [crop for crop in crops if not crop.text]
    assert 0 < len(silent) < 4 * NO_PLATE * len(crops)
    for crop in crops:
        assert min(crop.image.shape[:2]) >= 6
        assert set(crop.text) <= set(CHARSET)
        assert len(crop.centres) == len(crop.rows) == len(crop.text)
        if crop.text:
            assert ((crop.centres >= 0) & (crop.centres <= 1)).all()
            left, right = crop.corners[[0, 3]].mean(axis=0), crop.corners[[1, 2]].mean(axis=0)
            assert left[0] < crop.centres[:, 0].min() < crop.centres[:, 0].max() < right[0]
    assert {1} < {max(crop.rows, default=0) + 1 for crop in crops} == {1, 2}


def test_characters_contrast_with_the_background():
    contrasts = []
    for number in range(60):
        crop = render_crop(np.random.default_rng((8, number)))
        if crop.text:
            height, width = crop.image.shape[:2]
            x1, y1 = (crop.centres.min(axis=0) * (width, height)).astype(int)
            x2, y2 = (crop.centres.max(axis=0) * (width, height)).astype(int)
            inside = crop.image[max(0, y1 - 2) : y2 + 3, x1 : x2 + 1].mean(axis=2)
            contrasts.append(np.ptp(np.percentile(inside, (5, 95))))
    assert np.percentile(contrasts, 2) > 8
    assert np.median(contrasts) > 30


def test_a_database_of_crops_is_continued_and_returns_what_was_rendered(tmp_path):
    path = tmp_path / "new" / "crops.sqlite3"
    fill_crop_database(path, 6, RenderPlan(3, workers=1))
    fill_crop_database(path, 9, RenderPlan(3, workers=1))
    with pytest.raises(TrainError, match=r"crops.sqlite3: has crops of --seed 3; use that"):
        fill_crop_database(path, 12, RenderPlan(0, workers=1))
    database = CropDatabase(path)
    assert len(database) == 9
    for number in (0, 8):
        assert_same(database[number], render_crop(np.random.default_rng((3, number))))


def assert_same(found: LabelledCrop, expected: LabelledCrop) -> None:
    assert (found.text, found.rows) == (expected.text, expected.rows)
    assert found.region == expected.region
    assert np.array_equal(found.centres, expected.centres)
    assert np.array_equal(found.corners, expected.corners)
    assert found.image.shape == expected.image.shape
    difference = np.abs(found.image.astype(int) - expected.image.astype(int))
    assert difference.mean() < 6, "JPEG compression changes no more"


def test_a_file_that_is_no_database_of_crops_is_refused(tmp_path):
    (tmp_path / "text").write_text("no database" * 99)
    for name in ("text", "missing"):
        with pytest.raises(TrainError, match=f"{name}: no file of `train synth --out`"):
            CropDatabase(tmp_path / name)
    with pytest.raises(TrainError, match=r"text: file is not a database"):
        fill_crop_database(tmp_path / "text", 1, RenderPlan(0, workers=1))


def test_a_folder_of_crops_is_read_as_plates_of_the_evaluation(tmp_path):
    folder = tmp_path / "new" / "plates"
    write_crop_folder(folder, 40, seed=9, workers=1)
    train, validation = read_plates([folder])
    expected = [render_crop(np.random.default_rng((9, number))) for number in range(40)]
    texts = {crop.text for crop in expected if crop.text}
    assert {plate.text for plate in [*train, *validation]} == texts
    rows = (folder / "labels.csv").read_text().splitlines()
    assert rows[0] == "image,text,lines,region"
    assert sum(",2," in row for row in rows) == sum(1 in crop.rows for crop in expected)
    with pytest.raises(TrainError, match=r"plates: already exists"):
        write_crop_folder(tmp_path / "new" / "plates", 1, seed=0, workers=1)


def test_crops_for_training_and_for_evaluation_need_two_seeds(tmp_path):
    options = ["synth", "--out", str(tmp_path / "store"), "--plates", str(tmp_path)]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 2
    assert "--out and --plates: give one of them" in result.output


def test_a_contact_sheet_shows_rendered_crops_above_real_ones(tmp_path):
    folder = tmp_path / "mine"
    (folder / "images").mkdir(parents=True)
    for number in range(4):
        plate = random_plate(np.random.default_rng(number), cap=24).image
        cv2.imwrite(str(folder / "images" / f"{number}.png"), plate)
    rows = "".join(f"{n}.png,AB{n}\n" for n in range(4))
    (folder / "labels.csv").write_text(f"image,text\n{rows}")
    alone, both = tmp_path / "alone.png", tmp_path / "both.png"
    write_contact_sheet(alone, beside=None, seed=0)
    write_contact_sheet(both, beside=folder, seed=0)
    tall, taller = cv2.imread(str(alone)), cv2.imread(str(both))
    assert taller.shape[0] == 2 * tall.shape[0]
    assert np.array_equal(taller[: len(tall)], tall)
    with pytest.raises(TrainError, match=r"sheet.png: cannot be written"):
        write_contact_sheet(Path("/proc/sheet.png"), beside=None, seed=0)
