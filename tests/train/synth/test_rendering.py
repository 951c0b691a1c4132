from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from plateid.core.text import CHARSET
from train.reader.contact_sheet import write_contact_sheet
from train.reader.real_plates import read_plates
from train.synth.crop_database import CropDatabase, fill_crop_database
from train.synth.crop_folder import write_crop_folder
from train.synth.rendering import NO_PLATE, render_crop, render_plate
from train.train_error import TrainError


def test_samples_say_where_their_characters_are():
    samples = [render_crop(np.random.default_rng((7, n))) for n in range(200)]
    silent = [sample for sample in samples if not sample.text]
    assert 0 < len(silent) < 4 * NO_PLATE * len(samples)
    for sample in samples:
        assert min(sample.image.shape[:2]) >= 6
        assert set(sample.text) <= set(CHARSET)
        assert len(sample.centres) == len(sample.rows) == len(sample.text)
        if sample.text:
            assert ((sample.centres >= 0) & (sample.centres <= 1)).all()
    assert {1} < {max(sample.rows, default=0) + 1 for sample in samples} == {1, 2}


def test_the_characters_can_be_told_from_the_paper():
    contrasts = []
    for number in range(60):
        sample = render_crop(np.random.default_rng((8, number)))
        if sample.text:
            height, width = sample.image.shape[:2]
            x1, y1 = (sample.centres.min(axis=0) * (width, height)).astype(int)
            x2, y2 = (sample.centres.max(axis=0) * (width, height)).astype(int)
            inside = sample.image[max(0, y1 - 2) : y2 + 3, x1 : x2 + 1].mean(axis=2)
            contrasts.append(np.ptp(np.percentile(inside, (5, 95))))
    assert np.percentile(contrasts, 2) > 8
    assert np.median(contrasts) > 30


def test_a_clean_plate_has_the_height_that_is_asked_for():
    assert render_plate(np.random.default_rng(0), region="ro", height=40).shape[0] == 40


def test_a_store_goes_on_and_gives_what_was_rendered(tmp_path):
    path = tmp_path / "new" / "samples.sqlite3"
    fill_crop_database(path, 6, seed=3, workers=1)
    fill_crop_database(path, 9, seed=3, workers=1)
    with pytest.raises(TrainError, match=r"samples.sqlite3: was begun with --seed 3; repeat that"):
        fill_crop_database(path, 12, workers=1)
    with closing(CropDatabase(path)) as store:
        compare(store)


def compare(store):
    assert len(store) == 9
    for number in (0, 8):
        expected = render_crop(np.random.default_rng((3, number)))
        got = store[number]
        assert (got.text, got.rows, got.region) == (expected.text, expected.rows, expected.region)
        assert np.array_equal(got.centres, expected.centres)
        assert got.image.shape == expected.image.shape
        difference = np.abs(got.image.astype(int) - expected.image.astype(int))
        assert difference.mean() < 6, "but for the JPEG"
    with pytest.raises(IndexError):
        store[9]


def test_what_is_no_store_is_refused_by_its_name(tmp_path):
    (tmp_path / "text").write_text("no database" * 99)
    for name in ("text", "missing"):
        with pytest.raises(TrainError, match=f"{name}: not a store"):
            CropDatabase(tmp_path / name)
    with pytest.raises(TrainError, match=r"text: file is not a database"):
        fill_crop_database(tmp_path / "text", 1)


def test_rendered_plates_can_be_a_folder_for_the_evaluation(tmp_path):
    folder = tmp_path / "new" / "plates"
    write_crop_folder(folder, 40, seed=9, workers=1)
    train, validation = read_plates([folder])
    expected = [render_crop(np.random.default_rng((9, number))) for number in range(40)]
    texts = {sample.text for sample in expected if sample.text}
    assert {plate.text for plate in [*train, *validation]} == texts
    rows = (folder / "labels.csv").read_text().splitlines()
    assert rows[0] == "image,text,lines,region"
    assert sum(",2," in row for row in rows) == sum(1 in sample.rows for sample in expected)
    with pytest.raises(TrainError, match=r"plates: is there already"):
        write_crop_folder(tmp_path / "new" / "plates", 1)


def test_a_sheet_shows_rendered_plates_beside_real_ones(tmp_path):
    folder = tmp_path / "mine"
    (folder / "images").mkdir(parents=True)
    for number in range(4):
        plate = render_plate(np.random.default_rng(number), height=40)
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
