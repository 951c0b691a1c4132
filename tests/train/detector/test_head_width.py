import csv
from pathlib import Path

import pytest
import torch
from ultralytics import YOLO

from plateid.config.models import DEFAULT_BUNDLE
from train.detector import training_session
from train.detector.finetune import train_detector
from train.detector.plate_trainer import DetectorRun
from train.detector.restore import restore_weights
from train.detector.yolo_weights import load_detector
from train.export.bundle_export import Export, export_bundle
from train.train_error import TrainError

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL = {"imgsz": 64, "batch": 4}
NARROW = {**SMALL, "score_width": 16, "teachers": ("default",)}


class Killed(BaseException):
    pass


def network(path: Path) -> torch.nn.Module:
    return load_detector(str(path)).model.float().eval()


def test_new_score_branches_learn_the_old_outputs_and_the_rest_stays(data, tmp_path, monkeypatch):
    out = tmp_path / "run"
    run = DetectorRun((str(data),), "default", str(out), epochs=8, lr0=0.01, **NARROW)

    def kill(_self: object, trainer: object) -> None:
        if trainer.epoch == 2:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(training_session._Progress, "after_epoch", kill)
        with pytest.raises(Killed):
            train_detector(run)
    train_detector(run)
    with (out / "fit/results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4, 5, 6, 7, 8]
    losses = [float(row["train/score_loss"]) for row in rows]
    assert losses[-1] < losses[0] / 2

    before, after = network(out / "base.pt"), network(out / "fit/weights/last.pt")
    for name, tensor in after.state_dict().items():
        if not any(part in name for part in (".cv2.", ".cv3.", "num_batches")):
            assert torch.allclose(tensor, before.state_dict()[name], atol=1e-2, rtol=1e-3), name
    branches = after.model[-1].cv3
    assert [branch[-1].in_channels for branch in branches] == 3 * [16]
    assert {type(block.act) for branch in branches for block in branch[:2]} == {torch.nn.ReLU}


def test_narrow_score_branches_survive_training_export_and_restoring(data, tmp_path):
    first = DetectorRun((str(data),), "default", str(tmp_path / "first"), epochs=1, **NARROW)
    train_detector(first)
    weights = tmp_path / "first/fit/weights/last.pt"
    then = DetectorRun(
        (str(data),), str(weights), str(tmp_path / "then"), epochs=1, lr0=1e-6, **SMALL
    )
    train_detector(then)
    before, after = network(weights), network(tmp_path / "then/fit/weights/last.pt")
    for name, tensor in before.state_dict().items():
        if "num_batches" not in name and "running" not in name:
            assert torch.allclose(after.state_dict()[name], tensor, atol=2e-3), name

    bundle, form = tmp_path / "bundle", {"size": "64x64", "precision": "float32"}
    export_bundle(Export(bundle, weights, **form))
    images = sorted((data / "images").iterdir())
    restored = network(restore_weights(bundle, tmp_path / "restored.pt", images))
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(restored(image)[0], before(image)[0], atol=1e-2)
    export_bundle(Export(tmp_path / "average", weights, average_with=(bundle,), **form))
    with pytest.raises(TrainError, match=r"--average-with .*default: its detector is another"):
        export_bundle(Export(tmp_path / "b", weights, average_with=(DEFAULT_BUNDLE,), **form))


@pytest.mark.parametrize("base", ["yolo11n", "yolo26n"])
def test_base_with_another_head_is_refused(data, tmp_path, base):
    path = tmp_path / f"{base}.pt"
    YOLO(f"{base}.yaml", verbose=False).save(path)
    run = DetectorRun((str(data),), str(path), str(tmp_path / "run"), **NARROW)
    with pytest.raises(TrainError, match=rf"{path}: --score-width and --teacher need"):
        train_detector(run)
