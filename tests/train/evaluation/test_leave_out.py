from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from train.__main__ import main
from train.evaluation.leave_out import leave_out
from train.reader import batches
from train.reader.plate_groups import GROUPS, in_groups
from train.reader.reader_run import ReaderRun
from train.synth.flat_plate import random_plate
from train.synth.rendering import LabelledCrop


@pytest.fixture
def romanian(tmp_path: Path) -> Path:
    folder = tmp_path / "romanian"
    (folder / "images").mkdir(parents=True)
    rows = ["image,text"]
    for number in range(12):
        plate = random_plate(np.random.default_rng(number), region="ro", cap=20)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), plate.image)
        rows.append(f"{number}.png,{plate.text}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


@pytest.mark.parametrize(
    ("group", "plate", "holds"),
    [
        ("romania", ("ro", "B68SPK", 1), True),
        ("romania", ("romanian", "B68SPK", 1), True),
        ("romania", ("de", "B68SPK", 1), False),
        ("usa", ("us-crops", "7KXH349", 1), True),
        ("brazil", ("br", "RXL4K93", 1), True),
        ("digits", ("", "1234567890", 1), True),
        ("digits", ("", "123456789O", 1), False),
        ("two-line", ("vn", "59F112345", 2), True),
        ("two-line", ("vn", "59F112345", 1), False),
    ],
)
def test_a_group_holds_plates_by_origin_text_or_lines(group, plate, holds):
    assert in_groups([group], *plate) == holds
    assert not in_groups([], *plate)


@pytest.mark.parametrize("group", ["", "atlantis"])
def test_an_unknown_group_is_refused_with_exit_code_2(group, tmp_path):
    result = CliRunner().invoke(main, ["evaluate", str(tmp_path), "--leave-out", group])
    assert result.exit_code == 2
    assert f"{group!r} is not one of" in result.output
    assert all(known in result.output for known in GROUPS)


def test_a_reader_is_trained_without_the_group_and_measured_on_it(romanian, tmp_path, monkeypatch):
    drawn: list[str] = []
    spied = batches.step_classes

    def spy(crop: LabelledCrop) -> np.ndarray:
        drawn.append(crop.region)
        return spied(crop)

    monkeypatch.setattr(batches, "step_classes", spy)
    monkeypatch.setattr("train.evaluation.leave_out.RENDERED", 2)
    others = tmp_path / "others"
    romanian.rename(others)
    run = ReaderRun((str(others),), str(tmp_path / "run"), minutes=0.001, without=("romania",))
    parts = {part.name: part for part in leave_out(run)}
    assert "ro" not in drawn
    assert len(drawn) >= 64
    assert parts["romania, rendered"].plates == parts["others, rendered"].plates == 2
    assert parts["others held out, real"].plates > 0
    assert "romania, real" not in parts


def test_real_plates_of_the_group_are_measured_and_not_trained_on(romanian, tmp_path, monkeypatch):
    monkeypatch.setattr("train.evaluation.leave_out.RENDERED", 1)
    run = ReaderRun((str(romanian),), str(tmp_path / "run"), minutes=1e-4, without=("romania",))
    parts = {part.name: part for part in leave_out(run)}
    assert parts["romania, real"].plates == 12
    assert "others held out, real" not in parts


def test_several_groups_are_left_out_of_one_training_and_measured_apart(
    romanian, tmp_path, monkeypatch
):
    monkeypatch.setattr("train.evaluation.leave_out.RENDERED", 1)
    groups = ("romania", "digits")
    run = ReaderRun((str(romanian),), str(tmp_path / "run"), minutes=1e-4, without=groups)
    plates = {part.name: part.plates for part in leave_out(run)}
    assert plates == {
        "romania, real": 12,
        "romania, rendered": 1,
        "digits, rendered": 1,
        "others, rendered": 1,
    }
