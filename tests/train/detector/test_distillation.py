"""Detectors that learn the answers of others."""

import csv
import json
from pathlib import Path

import pytest
import torch
from ultralytics import YOLO

from train.detector.distillation import Answers
from train.detector.finetune import DetectorRun, train_detector
from train.detector.restore import restore_weights
from train.detector.training_session import load_detector
from train.manifest.weight_origin import detector_origin, trained_on
from train.train_error import TrainError

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL = {"imgsz": 64, "batch": 4}
RELU = str(Path(__file__).parents[3] / "train" / "detector" / "yolov8n-relu.yaml")


def test_who_answers_as_the_teachers_has_nothing_to_learn(data, tmp_path):
    pictures = sorted((data / "images").iterdir())
    accurate, default = (
        load_detector(str(restore_weights(Path("plateid/models") / name, tmp_path / f"{name}.pt", pictures)))
        for name in ("accurate", "default")
    )
    images = torch.rand(2, 3, 64, 64)
    said = accurate.model.float().eval()(images)
    loss, items = Answers({"accurate": accurate.model})(said, {"img": images})
    assert list(items) == ["score_loss", "box_loss", "side_loss"]
    assert float(loss.abs().max()) < 1e-3
    apart, _ = Answers({"default": default.model})(said, {"img": images})
    halfway, _ = Answers({"a": accurate.model, "b": default.model})(said, {"img": images})
    assert 0 < float(halfway.sum()) < float(apart.sum())


def test_a_student_starts_from_its_teacher_and_learns_from_it(data, tmp_path):
    out = tmp_path / "run"
    run = DetectorRun(
        (str(data),), RELU, str(out), epochs=6, teachers=("accurate", "default"), **SMALL
    )
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
    assert "yolov8n-relu.yaml, distilled from accurate and default; 6 epochs" in detector_origin(
        weights
    )
    assert {"data", "romanian", "kaggle", "useu"} <= set(trained_on(detector_origin(weights)))
    assert json.loads((out / "begun.json").read_text())["teachers"] == ["accurate", "default"]


@pytest.mark.parametrize("teacher", ["yolov8n", "yolo26n"])
def test_teachers_of_another_kind_are_refused_by_their_name(data, tmp_path, teacher):
    path = tmp_path / f"{teacher}.pt"
    YOLO(f"{teacher}.yaml", verbose=False).save(path)
    run = DetectorRun(
        (str(data),), "default", str(tmp_path / "run"), teachers=(str(path),), **SMALL
    )
    with pytest.raises(TrainError, match=rf"--teacher {path}: its head is not that of a YOLOv8 of"):
        train_detector(run)
