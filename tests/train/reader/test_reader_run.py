import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
import torch

from train.dataset.splits import load_split
from train.reader.reader_run import ReaderRun, train_reader
from train.reader.reader_weights import MODEL, trained_reader
from train.reader.real_plates import augmented, background, read_plates
from train.train_error import TrainError


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
    rows += [
        "0.png,10,10,50,20,,notplate,1",
        "2.png,10,10,50,20,,unreadable,1",
        "1.png,10,10,50,30,TWO1,clear,2",
    ]
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


def test_plates_with_a_text_and_boxes_without_a_plate_are_read(ride):
    plates = [plate for side in read_plates([ride]) for plate in side]
    assert sorted(p.text for p in plates) == ["", *(f"AB{n:02d}" for n in range(24)), "TWO1"]
    (plate,) = (plate for plate in plates if plate.text == "AB00")
    assert plate.image.shape == (61, 181, 3)
    assert (plate.box, plate.source) == ((30, 15, 150, 45), "ride")


def test_legibility_and_lines_are_optional_and_free_text(ride):
    rows = ["0.png,A1,Good,", "1.png,B2,Partial,", "2.png,C3,,1", "3.png,D4,clear,2"]
    rows += [f"{n}.png,E{n},," for n in range(4, 24)]
    (ride / "labels.csv").write_text("\n".join(["image,text,legibility,lines", *rows]))
    plates = [plate.text for side in read_plates([ride]) for plate in side]
    assert {"A1", "C3", "D4"} <= {*plates}
    assert "B2" not in plates


def test_plates_are_split_like_the_images_of_the_detector(ride):
    (ride / "texts.csv").write_text("image,x1,y1,x2,y2,text\n2.png,60,40,180,70,NEW\n")
    cv2.imwrite(str(ride / "images" / "3.png"), cv2.imread(str(ride / "images" / "2.png")) // 2)
    train, val = read_plates([ride])
    splits = load_split([ride])[0]
    for plates, side in zip((train, val), splits, strict=True):
        numbers = {"NEW" if p.path.stem == "2" else f"AB{int(p.path.stem):02d}" for p in side}
        assert {plate.text for plate in plates} - {"", "TWO1"} == numbers
    assert any({"NEW", "AB03"} <= {plate.text for plate in side} for side in (train, val))


def test_plate_crops_need_no_boxes(ride):
    (ride / "labels.csv").write_text("image,text\n" + "".join(f"{n}.png,A{n}\n" for n in range(9)))
    plates = [plate for side in read_plates([ride]) for plate in side]
    assert len(plates) == 9
    assert {plate.box for plate in plates} == {(0, 0, 240, 120)}


def test_a_folder_without_labels_gives_one_line(tmp_path):
    with pytest.raises(TrainError) as caught:
        read_plates([tmp_path])
    assert str(caught.value) == f"{tmp_path / 'labels.csv'}: No such file or directory"


def test_faults_of_texts_and_images_are_reported_together(ride, tmp_path):
    (ride / "images" / "3.png").write_bytes(b"")
    (ride / "texts.csv").write_text("image,x1,y1,x2,y2,text\n4.png,1,2,3,4,AB1\n")
    with pytest.raises(TrainError) as caught:
        read_plates([tmp_path / "nowhere", ride])
    said = str(caught.value)
    assert "nowhere/labels.csv: No such file or directory\n" in said
    assert "texts.csv: 4.png: " in said
    assert "labels.csv has no box (1.0, 2.0, 3.0, 4.0)" in said
    assert "3.png: is empty" in said


def test_data_without_a_text_is_refused(ride):
    (ride / "labels.csv").write_text("image,x1,y1,x2,y2\n0.png,60,40,180,70\n")
    with pytest.raises(TrainError, match=r"ride: the training part has no plate text"):
        read_plates([ride])


def test_a_plate_of_one_pixel_gives_a_crop(ride):
    (ride / "labels.csv").write_text(
        "image,x1,y1,x2,y2,text\n" + "".join(f"{n}.png,60,40,60.6,40.6,A{n}\n" for n in range(9))
    )
    rng = np.random.default_rng(0)
    for plate in read_plates([ride])[0]:
        for made in (background, augmented):
            assert all(min(made(rng, plate).image.shape) >= 1 for _ in range(30))


def test_a_background_crop_has_no_text(ride):
    crop = background(np.random.default_rng(0), read_plates([ride])[0][0])
    assert crop.text == ""
    assert min(crop.image.shape[:2]) >= 8


@pytest.mark.filterwarnings("ignore")
def test_an_interrupted_run_resumes_and_writes_its_record(ride, tmp_path):
    run = ReaderRun((str(ride),), str(tmp_path / "run"), minutes=0.01, batch=4)
    first = train_reader(run)
    assert first["step"] >= 1
    assert sum(first["crops"].values()) == 26
    second = train_reader(replace(run, minutes=first["minutes"] + 0.01))
    assert second["step"] > first["step"]
    assert {p.name for p in Path(run.out).iterdir()} == {"begun.json", "last.pt", "run.json"}
    with pytest.raises(TrainError, match=r"run: holds a run with other real; choose another --out"):
        train_reader(replace(run, real=0.5))
    assert trained_reader(Path(run.out) / "last.pt")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("number", [{"minutes": 0}, {"minutes": float("nan")}, {"lr": -1.0}])
def test_a_number_that_trains_nothing_is_refused(ride, tmp_path, number):
    (name,) = number
    with pytest.raises(TrainError, match=rf"--{name} .*: must be more than 0"):
        train_reader(ReaderRun((str(ride),), str(tmp_path / "run"), **number))
    assert not (tmp_path / "run").exists()


def test_processes_train_together_and_one_writes_the_record(ride, tmp_path):
    run = ReaderRun((str(ride),), str(tmp_path / "run"), minutes=0.02, batch=2, processes=2)
    record = train_reader(run)
    assert record["step"] >= 1
    with pytest.raises(TrainError, match=r"run: holds a run with other batch"):
        train_reader(replace(run, batch=3))
    assert {p.name for p in Path(run.out).iterdir()} == {"begun.json", "last.pt", "run.json"}


def test_processes_of_a_background_run_end_with_it(ride, tmp_path):
    """A shell's `&` ignores SIGINT, which torch sends when the parent has ended."""
    command = [sys.executable, "-m", "train", "reader", "--data", ride, "--out", tmp_path / "run"]
    with (tmp_path / "log").open("wb") as log:
        run = psutil.Popen(
            [*map(str, command), "--processes", "2"],
            stderr=log,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        )
    try:
        while not (tmp_path / "run" / "begun.json").exists():
            assert run.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.1)
        trainers = [
            child for child in run.children() if "--multiprocessing-fork" in child.cmdline()
        ]
        assert len(trainers) == 2
    finally:
        run.kill()
        run.wait()
    _, alive = psutil.wait_procs(trainers, timeout=60)
    for trainer in alive:
        trainer.kill()
    assert not alive


@pytest.mark.parametrize("content", [None, b"", b"no checkpoint", {"model": {}}])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "base.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        torch.save(content, path)
    with pytest.raises(TrainError, match=r"base.pt: not a checkpoint of a reader"):
        trained_reader(path)


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "base.pt"
    torch.save({MODEL: {"layer": torch.zeros(1)}}, path)
    with pytest.raises(TrainError, match=r"base.pt: holds another network"):
        trained_reader(path)
