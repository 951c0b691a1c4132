from pathlib import Path

import cv2
import easyocr_en_models
import numpy as np
import pytest
import torch

from plateid.config import DEFAULT_BUNDLE
from plateid.core.text import CHARSET
from plateid.models.bundle import Bundle
from train.crops import background, read_plates
from train.dataset.pictures import held_out
from train.errors import TrainError
from train.reader import ReaderRun, ctc_loss, train_reader
from train.synth import patterns, random_text, render_crop

ENGLISH_G2 = Path(easyocr_en_models.__file__).parent / "models"


@pytest.fixture
def ride(tmp_path: Path) -> Path:
    folder = tmp_path / "ride"
    (folder / "images").mkdir(parents=True)
    rows = ["image,x1,y1,x2,y2,text,legibility,lines"]
    rng = np.random.default_rng(0)
    for number in range(24):
        picture = rng.integers(0, 255, (120, 240, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture)
        rows.append(f"{number}.png,60,40,180,70,AB{number:02d},clear,1")
    rows += ["0.png,10,10,50,20,,unreadable,1", "1.png,10,10,50,30,AB12,clear,2"]
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


def test_one_line_plates_are_read_and_the_illegible_say_nothing(ride):
    plates = read_plates(ride)
    assert [p.text for p in plates] == [f"AB{n:02d}" for n in range(24)] + [""]
    assert plates[0].image[0:1].shape == (1, 181, 3)
    assert plates[0].box == (30, 15, 150, 45)


def test_some_groups_are_held_out_and_never_in_part(ride):
    groups = {p.group for p in read_plates(ride)}
    assert {held_out(group) for group in groups} == {True, False}
    assert groups == {f"ride/{number}.png" for number in range(24)}


def test_a_folder_without_texts_or_pictures_is_named(ride, tmp_path):
    with pytest.raises(TrainError, match=r"neither texts.csv nor labels.csv"):
        read_plates(tmp_path / "nowhere")
    (ride / "images" / "3.png").write_bytes(b"")
    with pytest.raises(TrainError, match=r"3.png: not a readable picture"):
        read_plates(ride)


def test_background_shows_no_plate_and_has_no_text(ride):
    crop = background(np.random.default_rng(0), read_plates(ride)[0])
    assert crop.text == ""
    assert min(crop.image.shape[:2]) >= 8


def test_rendered_texts_are_plates_and_crops_are_pictures():
    rng = np.random.default_rng(0)
    for _ in range(300):
        text = random_text(rng).replace(" ", "")
        assert 2 <= len(text) <= 11
        assert set(text) <= set(CHARSET)
    crop = render_crop(rng)
    assert crop.image.dtype == np.uint8
    assert crop.image.std() > 1
    assert len(patterns()) > 100


def test_the_same_seed_renders_the_same_crop():
    first, again = (render_crop(np.random.default_rng(5)) for _ in range(2))
    assert first.text == again.text
    assert (first.image == again.image).all()


def test_the_loss_is_small_for_the_right_text_and_takes_an_empty_one():
    steps = torch.full((2, 8, 37), 1e-4)
    steps[0, :, 0] = steps[1, :, 0] = 0.99
    steps[0, 2], steps[0, 5] = torch.eye(37)[11], torch.eye(37)[12]
    assert ctc_loss(steps, ["AB", ""]) < ctc_loss(steps, ["AC", ""])
    assert torch.isfinite(ctc_loss(steps, ["", ""]))


@pytest.mark.filterwarnings("ignore")
def test_a_run_that_was_interrupted_goes_on_and_leaves_its_record(ride, tmp_path):
    spec = Bundle(DEFAULT_BUNDLE).spec.reader
    run = ReaderRun((str(ride),), ENGLISH_G2, str(tmp_path / "run"), minutes=0.01, batch=2)
    first = train_reader(run, spec)
    assert first["step"] >= 1
    more = ReaderRun((str(ride),), ENGLISH_G2, run.out, minutes=first["minutes"] + 0.01, batch=2)
    second = train_reader(more, spec)
    assert second["step"] > first["step"]
    assert {p.name for p in Path(run.out).iterdir()} == {"last.pt", "run.json"}
