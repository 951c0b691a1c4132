from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from train.__main__ import main
from train.reader import batches, reader_run
from train.reader.plate_groups import GROUPS
from train.reader.reader_run import ReaderRun, train_reader
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


def train_without(folder: Path, out: Path, *groups: str) -> dict[str, float]:
    run = ReaderRun((str(folder),), str(out), minutes=0.0001, leave_out=groups)
    metrics: dict[str, float] = train_reader(run)["metrics"]
    return metrics


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
    assert GROUPS[group](*plate) == holds


def test_an_unknown_group_is_named_with_exit_code_2(tmp_path):
    arguments = ["reader", "--data", str(tmp_path), "--leave-out", "atlantis"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "'atlantis' is not one of 'romania', 'usa', 'brazil', 'digits'" in result.output


def test_a_reader_is_trained_without_the_group_and_measured_on_it(romanian, tmp_path, monkeypatch):
    drawn: list[str] = []
    spied = batches.step_classes

    def spy(crop: LabelledCrop) -> np.ndarray:
        drawn.append(crop.region)
        return spied(crop)

    monkeypatch.setattr(batches, "step_classes", spy)
    monkeypatch.setattr(reader_run, "RENDERED", 2)
    others = tmp_path / "others"
    romanian.rename(others)
    metrics = train_without(others, tmp_path / "run", "romania")
    assert "ro" not in drawn
    assert len(drawn) >= 64
    assert metrics.keys() == {"others", "romania, rendered"}


def test_real_plates_of_the_groups_are_measured_and_not_trained_on(romanian, tmp_path, monkeypatch):
    monkeypatch.setattr(reader_run, "RENDERED", 1)
    mixes: list[batches.Mix] = []
    mixed = batches.batches

    def spy(mix: batches.Mix, *arguments, **options):
        mixes.append(mix)
        return mixed(mix, *arguments, **options)

    monkeypatch.setattr(reader_run, "batches", spy)
    metrics = train_without(romanian, tmp_path / "run", "romania", "digits")
    assert metrics.keys() == {"romania, real", "romania, rendered", "digits, rendered"}
    assert not mixes[0].plates
