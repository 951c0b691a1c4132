import csv
import json
from pathlib import Path

import pytest
import torch
from ultralytics import YOLO

from plateid.config.models import SHIPPED
from train.detector.distillation import DistillationLoss
from train.detector.finetune import train_detector
from train.detector.plate_trainer import DetectorRun
from train.detector.restore import restore_weights
from train.detector.yolo_weights import load_detector
from train.manifest.weight_origin import detector_origin, trained_on
from train.train_error import TrainError

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL = {"imgsz": 64, "batch": 4}
RELU = str(Path(__file__).parents[3] / "train" / "detector" / "yolov8n-relu.yaml")


def test_loss_is_zero_for_the_teacher_and_grows_with_the_distance(data, tmp_path):
    images = sorted((data / "images").iterdir())
    accurate, default = (
        load_detector(str(restore_weights(SHIPPED / name, tmp_path / f"{name}.pt", images))).model
        for name in ("accurate", "default")
    )
    batch = torch.rand(2, 3, 64, 64)
    outputs = accurate.float().eval()(batch)
    loss, items = DistillationLoss({"accurate": accurate})(outputs, {"img": batch})
    assert list(items) == ["score_loss", "box_loss", "side_loss"]
    assert float(loss.abs().max()) < 1e-3
    apart, _ = DistillationLoss({"default": default})(outputs, {"img": batch})
    halfway, _ = DistillationLoss({"a": accurate, "b": default})(outputs, {"img": batch})
    assert 0 < float(halfway.sum()) < float(apart.sum())


def test_student_starts_from_its_teacher_and_learns_from_it(data, tmp_path):
    out = tmp_path / "run"
    teachers = ("accurate", "default")
    run = DetectorRun((str(data),), RELU, str(out), epochs=3, teachers=teachers, **SMALL)
    record = train_detector(run)
    assert len(record["teachers_sha256"]) == 2
    rows = list(csv.DictReader((out / "fit/results.csv").read_text().splitlines()))
    assert float(rows[-1]["train/score_loss"]) < float(rows[0]["train/score_loss"])
    weights = out / "fit/weights/last.pt"
    student = load_detector(str(weights)).model
    activations = {type(m.act) for m in student.modules() if hasattr(m, "act")}
    assert torch.nn.SiLU not in activations
    teacher = load_detector(str(out / "teacher0.pt")).model
    before, after = (m.model[0].conv.weight.float().detach() for m in (teacher, student))
    assert 0 < float((before - after).abs().max()) < 0.1
    origin = detector_origin(weights)
    assert "yolov8n-relu.yaml, distilled from accurate and default; 3 epochs" in origin
    assert {"data", "romanian", "kaggle", "useu"} <= set(trained_on(origin))
    assert json.loads((out / "begun.json").read_text())["teachers"] == list(teachers)


@pytest.mark.parametrize("teacher", ["yolov8n", "yolo26n"])
def test_teacher_with_another_head_is_refused(data, tmp_path, teacher):
    path, out = tmp_path / f"{teacher}.pt", tmp_path / "run"
    YOLO(f"{teacher}.yaml", verbose=False).save(path)
    run = DetectorRun((str(data),), "default", str(out), teachers=(str(path),), **SMALL)
    with pytest.raises(TrainError, match=rf"--teacher {path}: its head is not that of a one-class"):
        train_detector(run)
