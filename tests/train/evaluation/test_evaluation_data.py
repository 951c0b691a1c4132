from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from train.dataset.grouping import is_held_out
from train.dataset.splits import load_split
from train.evaluation.evaluate import read_sets
from train.train_error import TrainError


def data_set(root: Path, *seeds: int, shade: int = 0) -> Path:
    """An image with one plate for each seed, `shade` darker than in other folders."""
    (root / "images").mkdir(parents=True)
    for seed in seeds:
        cells = np.random.default_rng(seed).integers(30, 255, (12, 24, 3)).astype(np.uint8)
        image = cv2.resize(cells - np.uint8(shade), (200, 100), interpolation=cv2.INTER_LINEAR)
        cv2.imwrite(str(root / "images" / f"{root.name}{seed}.png"), image)
    rows = (f"{root.name}{seed}.png,60,40,140,60\n" for seed in seeds)
    (root / "labels.csv").write_text("image,x1,y1,x2,y2\n" + "".join(rows))
    return root


def crop_set(root: Path, *seeds: int) -> Path:
    folder = data_set(root, *seeds)
    rows = (f"{root.name}{seed}.png,AB{seed}\n" for seed in seeds)
    (folder / "labels.csv").write_text("image,text\n" + "".join(rows))
    return folder


def test_held_out_part_of_several_folders_is_that_of_a_training_on_them(tmp_path):
    day = data_set(tmp_path / "day", *range(30))
    dusk = data_set(tmp_path / "dusk", *range(15, 45), shade=20)
    images, trained = read_sets([day, dusk], held_out=True)
    assert [image for _, image in images] == load_split([day, dusk])[0].validation
    assert {(name, image.labels.folder) for name, image in images} == {("day", day), ("dusk", dusk)}
    assert trained == {""}, "no plate has a text"
    alone = {image.path for image in load_split([dusk])[0].validation}
    held_out = {image.path for name, image in images if name == "dusk"}
    assert alone != held_out, "near-duplicates stay together"


def test_plate_crops_fill_their_images_and_are_held_out_by_group(tmp_path):
    folders = [crop_set(tmp_path / "one", *range(30)), crop_set(tmp_path / "two", *range(30, 60))]
    every, _ = read_sets(folders, held_out=False, crops=True)
    assert Counter(name for name, _ in every) == {"one": 30, "two": 30}
    assert {image.boxes for _, image in every} == {((0, 0, 200, 100),)}
    assert every[0][1].texts == ("AB0",)
    held_out, trained = read_sets(folders, held_out=True, crops=True)
    assert held_out == [each for each in every if is_held_out(each[1].group)]
    assert len(trained) == 60 - len(held_out)
    assert {name for name, _ in held_out} == {"one", "two"}


def test_faults_of_crop_folders_are_reported_together(tmp_path):
    one = crop_set(tmp_path / "one", 1, 2)
    (one / "images" / "one1.png").write_bytes(b"")
    with pytest.raises(TrainError) as caught:
        read_sets([tmp_path / "nowhere", one], held_out=False, crops=True)
    assert "nowhere/labels.csv: No such file or directory" in str(caught.value)
    assert "one1.png: is empty" in str(caught.value)


def test_a_folder_without_a_held_out_image_gives_no_set(tmp_path):
    day = data_set(tmp_path / "day", *range(30))
    seed = next(n for n in range(99, 199) if not is_held_out(f"one/one{n}.png"))
    one = data_set(tmp_path / "one", seed)
    assert Counter(n for n, _ in read_sets([day, one], held_out=False)[0]) == {"day": 30, "one": 1}
    assert {name for name, _ in read_sets([day, one], held_out=True)[0]} == {"day"}
    cut = crop_set(
        tmp_path / "cut", next(n for n in range(99) if not is_held_out(f"cut/cut{n}.png"))
    )
    with pytest.raises(TrainError, match="cut: no image is held out"):
        read_sets([cut], held_out=True, crops=True)
