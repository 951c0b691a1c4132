from pathlib import Path

import cv2
import easyocr_en_models
import numpy as np
import pytest
import torch

from plateid.config import DEFAULT_BUNDLE
from plateid.core.text import CHARSET
from plateid.models.bundle import Bundle
from train.dataset.checks import checked_pictures
from train.dataset.pictures import split
from train.errors import TrainError
from train.reader.crops import background, read_plates
from train.reader.run import ReaderRun, ctc_loss, train_reader
from train.reader.synth import patterns, random_text, render_crop

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
    plates = [plate for side in read_plates([ride]) for plate in side]
    assert sorted(p.text for p in plates) == ["", *(f"AB{n:02d}" for n in range(24))]
    (plate,) = (plate for plate in plates if plate.text == "AB00")
    assert plate.image.shape == (61, 181, 3)
    assert (plate.box, plate.source) == ((30, 15, 150, 45), "ride")


def test_crops_are_parted_as_the_pictures_of_a_detector(ride):
    (ride / "texts.csv").write_text("image,x1,y1,x2,y2,text\n2.png,60,40,180,70,NEW\n")
    cv2.imwrite(str(ride / "images" / "3.png"), cv2.imread(str(ride / "images" / "2.png")) // 2)
    train, val = read_plates([ride])
    pictures = split(checked_pictures([ride])[0])
    for plates, side in zip((train, val), pictures, strict=True):
        numbers = {"NEW" if p.path.stem == "2" else f"AB{int(p.path.stem):02d}" for p in side}
        assert {plate.text for plate in plates} - {""} == numbers
    assert any({"NEW", "AB03"} <= {plate.text for plate in side} for side in (train, val))


def test_plates_that_are_cut_out_need_no_boxes(ride):
    (ride / "labels.csv").write_text("image,text\n" + "".join(f"{n}.png,A{n}\n" for n in range(9)))
    plates = [plate for side in read_plates([ride]) for plate in side]
    assert len(plates) == 9
    assert {plate.box for plate in plates} == {(0, 0, 240, 120)}


def test_what_is_wrong_with_texts_or_pictures_is_told_together(ride, tmp_path):
    (ride / "images" / "3.png").write_bytes(b"")
    (ride / "texts.csv").write_text("image,x1,y1,x2,y2,text\n4.png,1,2,3,4,AB1\n")
    with pytest.raises(TrainError) as caught:
        read_plates([tmp_path / "nowhere", ride])
    said = str(caught.value)
    assert "nowhere/labels.csv: [Errno 2]" in said
    assert "texts.csv: 4.png: " in said
    assert "labels.csv has no box (1.0, 2.0, 3.0, 4.0)" in said
    assert "3.png: is empty" in said


def test_background_shows_no_plate_and_has_no_text(ride):
    crop = background(np.random.default_rng(0), read_plates([ride])[0][0])
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
