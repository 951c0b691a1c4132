"""What is evaluated of folders."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from train.dataset.grouping import is_held_out
from train.dataset.splits import load_split
from train.evaluation.sources import read_crops, read_sources
from train.train_error import TrainError


def data_set(root: Path, *seeds: int, shade: int = 0) -> Path:
    """A picture for each seed, `shade` darker than in other folders, with one plate."""
    (root / "images").mkdir(parents=True)
    for seed in seeds:
        cells = np.random.default_rng(seed).integers(30, 255, (12, 24, 3)).astype(np.uint8)
        image = cv2.resize(cells - np.uint8(shade), (200, 100), interpolation=cv2.INTER_LINEAR)
        cv2.imwrite(str(root / "images" / f"{root.name}{seed}.png"), image)
    rows = (f"{root.name}{seed}.png,60,40,140,60\n" for seed in seeds)
    (root / "labels.csv").write_text("image,x1,y1,x2,y2\n" + "".join(rows))
    return root


def test_what_a_training_on_several_folders_held_out_is_evaluated_by_folder(tmp_path):
    day = data_set(tmp_path / "day", *range(30))
    dusk = data_set(tmp_path / "dusk", *range(15, 45), shade=20)
    sources = read_sources([day, dusk], held_out=True)
    expected = load_split([day, dusk])[0].validation
    assert [picture for source in sources for picture in source.pictures] == expected
    assert [source.name for source in sources] == ["day", "dusk"]
    assert {p.labels.folder for p in sources[0].pictures} == {day}
    assert all(source.trained == {""} for source in sources), "none of them is transcribed"
    alone = {p.path for p in load_split([dusk])[0].validation}
    assert alone != {p.path for p in sources[1].pictures}, "twins of day's go where day's are"


def cut_out(root: Path, *seeds: int) -> Path:
    """Plates that fill their pictures."""
    folder = data_set(root, *seeds)
    rows = (f"{root.name}{seed}.png,AB{seed}\n" for seed in seeds)
    (folder / "labels.csv").write_text("image,text\n" + "".join(rows))
    return folder


def test_plates_that_are_cut_out_fill_their_pictures_and_are_held_out_alike(tmp_path):
    one, two = cut_out(tmp_path / "one", *range(30)), cut_out(tmp_path / "two", *range(30, 60))
    every = read_crops([one, two], held_out=False)
    assert [(source.name, len(source.pictures)) for source in every] == [("one", 30), ("two", 30)]
    assert {picture.boxes for picture in every[0].pictures} == {((0, 0, 200, 100),)}
    assert every[0].pictures[0].texts == ("AB0",)
    for source in read_crops([one, two], held_out=True):
        names = {picture.path.name for picture in source.pictures}
        assert names == {
            picture.path.name
            for whole in every
            for picture in whole.pictures
            if whole.name == source.name and is_held_out(picture.group)
        }
        assert len(source.trained) == 30 - len(names)
        assert 0 < len(names) < 30


def test_what_is_wrong_with_crops_is_told_together(tmp_path):
    one = cut_out(tmp_path / "one", 1, 2)
    (one / "images" / "one1.png").write_bytes(b"")
    with pytest.raises(TrainError) as caught:
        read_crops([tmp_path / "nowhere", one], held_out=False)
    assert "nowhere/labels.csv: No such file or directory" in str(caught.value)
    assert "one1.png: is empty" in str(caught.value)


def test_a_folder_of_which_nothing_is_held_out_is_no_source(tmp_path):
    day = data_set(tmp_path / "day", *range(30))
    seed = next(n for n in range(99, 199) if not is_held_out(f"one/one{n}.png"))
    one = data_set(tmp_path / "one", seed)
    assert [len(source.pictures) for source in read_sources([day, one], held_out=False)] == [30, 1]
    assert [source.name for source in read_sources([day, one], held_out=True)] == ["day"]
    cut = cut_out(
        tmp_path / "cut", next(n for n in range(99) if not is_held_out(f"cut/cut{n}.png"))
    )
    with pytest.raises(TrainError, match="cut: no picture is held out"):
        read_crops([cut], held_out=True)
