from pathlib import Path

import cv2
import numpy as np
import pytest

from train.dataset.grouping import is_held_out
from train.dataset.splits import load_split
from train.evaluation.evaluation_sets import read_crop_sets, read_sets
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
    sets = read_sets([day, dusk], held_out=True)
    expected = load_split([day, dusk])[0].validation
    assert [image for each in sets for image in each.images] == expected
    assert [each.name for each in sets] == ["day", "dusk"]
    assert {image.labels.folder for image in sets[0].images} == {day}
    assert all(each.trained == {""} for each in sets), "no plate has a text"
    alone = {image.path for image in load_split([dusk])[0].validation}
    assert alone != {image.path for image in sets[1].images}, "near-duplicates stay together"


def test_plate_crops_fill_their_images_and_are_held_out_by_group(tmp_path):
    folders = [crop_set(tmp_path / "one", *range(30)), crop_set(tmp_path / "two", *range(30, 60))]
    every = read_crop_sets(folders, held_out=False)
    assert [(each.name, len(each.images)) for each in every] == [("one", 30), ("two", 30)]
    assert {image.boxes for image in every[0].images} == {((0, 0, 200, 100),)}
    assert every[0].images[0].texts == ("AB0",)
    for part, whole in zip(read_crop_sets(folders, held_out=True), every, strict=True):
        names = {image.path.name for image in part.images}
        assert names == {image.path.name for image in whole.images if is_held_out(image.group)}
        assert len(part.trained) == 30 - len(names)
        assert 0 < len(names) < 30


def test_faults_of_crop_folders_are_reported_together(tmp_path):
    one = crop_set(tmp_path / "one", 1, 2)
    (one / "images" / "one1.png").write_bytes(b"")
    with pytest.raises(TrainError) as caught:
        read_crop_sets([tmp_path / "nowhere", one], held_out=False)
    assert "nowhere/labels.csv: No such file or directory" in str(caught.value)
    assert "one1.png: is empty" in str(caught.value)


def test_a_folder_without_a_held_out_image_gives_no_set(tmp_path):
    day = data_set(tmp_path / "day", *range(30))
    seed = next(n for n in range(99, 199) if not is_held_out(f"one/one{n}.png"))
    one = data_set(tmp_path / "one", seed)
    assert [len(each.images) for each in read_sets([day, one], held_out=False)] == [30, 1]
    assert [each.name for each in read_sets([day, one], held_out=True)] == ["day"]
    cut = crop_set(
        tmp_path / "cut", next(n for n in range(99) if not is_held_out(f"cut/cut{n}.png"))
    )
    with pytest.raises(TrainError, match="cut: no image is held out"):
        read_crop_sets([cut], held_out=True)
