"""The command from boxes to a bundle, on a few small images and with trainings of seconds."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from plateid.config.models import DEFAULT_BUNDLE
from plateid.models.bundle import Bundle
from train.detector import plate_trainer
from train.export.bundle_export import Export, export_bundle
from train.learn import detector_lesson, teaching
from train.learn.gather import LearningRun, Sources
from train.learn.learning import RefusedError, learn
from train.learn.rehearsal import STREETS

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL = {"EPOCHS": 1, "SIDE_PX": 64, "BATCH": 16, "PER_EPOCH": 8}


@pytest.fixture
def run(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LearningRun:
    """A run with the boxes of 14 images, three of them with texts; the network is small."""
    for name, value in SMALL.items():
        monkeypatch.setattr(detector_lesson, name, value)
    monkeypatch.setattr(teaching, "SHARES", (1.0,))
    monkeypatch.setattr(plate_trainer, "RENDERED_PLATES", 4)
    monkeypatch.setattr(teaching, "FOLDS", 2)
    table = data / "labels.csv"
    rows = table.read_text().splitlines()
    texts = ["text", "AB1", "AB2", "AB3", *[""] * 11]
    table.write_text("\n".join(map(",".join, zip(rows, texts, strict=True))))
    for seed, name in enumerate(STREETS):
        monkeypatch.setitem(STREETS, name, (4, seed, 1))
    base = tmp_path / "base"
    export_bundle(Export(base, size="320x192"))
    return LearningRun(Sources((data,)), tmp_path / "bundle", base, minutes=0.5)


def test_boxes_with_few_texts_teach_the_detector_alone(run, monkeypatch):
    monkeypatch.setattr(teaching, "MAX_P", -1)
    with pytest.raises(RefusedError, match="detector: no proven gain on 14 held-out images"):
        learn(run)
    assert not [*(run.work / detector_lesson.FIT).iterdir()]
    monkeypatch.setattr(detector_lesson, "train_network", None)  # all trainings are done
    learn(replace(run, force=True))
    spec, before = Bundle(run.out).spec, Bundle(DEFAULT_BUNDLE).spec
    assert spec.reader == before.reader
    assert "Then train learn with 14 images, real (data)" in spec.detector.origin
    assert not [*run.out.glob("*.float.onnx")]
    report = json.loads((run.out / "report.json").read_text())
    assert (report["own"]["measure"], report["own"]["n"]) == ("mAP50-95", 14)
    assert [each["set"] for each in report["kept"]] == ["your plates", "rendered streets"]
    assert report["bundle"]["detector"]["calibration"] == spec.detector.threshold
    assert report["warnings"][0].startswith("3 labels with a text show 3 vehicles: 10 different")
    assert "Your images, held out" in (run.out / "report.html").read_text()
