"""Towers that learn to answer as wider ones."""

import csv
from pathlib import Path

import pytest
import torch
from ultralytics import YOLO

from plateid.config.models import DEFAULT_BUNDLE
from train.detector import ultralytics_training
from train.detector.finetune import DetectorRun, train_detector
from train.detector.restore import restore_weights
from train.detector.training_session import load_detector
from train.export.bundle_export import Export, export_bundle
from train.train_error import TrainError

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL = {"imgsz": 64, "batch": 4, "towers": 16, "teachers": ("default",)}


class Killed(BaseException):
    pass


def network(path: Path) -> torch.nn.Module:
    return load_detector(str(path)).model.float().eval()


def test_new_towers_learn_the_answers_of_those_before_and_all_else_stays(
    data, tmp_path, monkeypatch
):
    out = tmp_path / "run"
    run = DetectorRun((str(data),), "default", str(out), epochs=8, lr0=0.01, **SMALL)

    def kill(_self: object, trainer: object) -> None:
        if trainer.epoch == 2:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(ultralytics_training._Progress, "__call__", kill)
        with pytest.raises(Killed):
            train_detector(run)
    train_detector(run)
    with (out / "fit/results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4, 5, 6, 7, 8]
    for loss in ("score", "box"):
        losses = [float(row[f"train/{loss}_loss"]) for row in rows]
        assert losses[-1] < losses[0] / 2, loss

    before, after = network(out / "base.pt"), network(out / "fit/weights/last.pt")
    for name, tensor in after.state_dict().items():
        if ".cv2." not in name and ".cv3." not in name and "num_batches" not in name:
            assert torch.allclose(tensor, before.state_dict()[name], atol=1e-2, rtol=1e-3), name
    towers = [*after.model[-1].cv2, *after.model[-1].cv3]
    assert [tower[-1].in_channels for tower in towers] == 6 * [16]
    assert {type(block.act) for tower in towers for block in tower[:2]} == {torch.nn.ReLU}


def test_training_goes_on_with_narrow_towers(data, tmp_path):
    """ultralytics builds box towers anew, 64 channels wide."""
    first = DetectorRun((str(data),), "default", str(tmp_path / "first"), epochs=1, **SMALL)
    train_detector(first)
    base = tmp_path / "first/fit/weights/last.pt"
    options = {**SMALL, "towers": None}
    run = DetectorRun(
        (str(data),), str(base), str(tmp_path / "then"), epochs=1, lr0=1e-6, **options
    )
    train_detector(run)
    before, after = network(base), network(tmp_path / "then/fit/weights/last.pt")
    for name, tensor in before.state_dict().items():
        if "num_batches" not in name and "running" not in name:
            assert torch.allclose(after.state_dict()[name], tensor, atol=2e-3), name


def test_they_go_through_a_bundle_and_back(data, tmp_path):
    out, bundle = tmp_path / "run", tmp_path / "bundle"
    train_detector(DetectorRun((str(data),), "default", str(out), epochs=1, **SMALL))
    weights = out / "fit/weights/last.pt"
    form = {"size": "64x64", "precision": "float32"}
    export_bundle(Export(bundle, weights, **form))
    pictures = sorted((data / "images").iterdir())
    thawed, ours = network(restore_weights(bundle, tmp_path / "thawed.pt", pictures)), network(weights)
    picture = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(thawed(picture)[0], ours(picture)[0], atol=1e-2)
    export_bundle(Export(tmp_path / "mean", weights, mean=(bundle,), **form))
    with pytest.raises(TrainError, match=r"--mean .*default: its detector is another network"):
        export_bundle(Export(tmp_path / "other", weights, mean=(DEFAULT_BUNDLE,), **form))


@pytest.mark.parametrize("base", ["yolo11n", "yolo26n"])
def test_towers_of_another_kind_are_refused(data, tmp_path, base):
    path = tmp_path / f"{base}.pt"
    YOLO(f"{base}.yaml", verbose=False).save(path)
    with pytest.raises(TrainError, match=rf"{path}: --towers and --teacher need"):
        train_detector(DetectorRun((str(data),), str(path), str(tmp_path / "run"), **SMALL))
