"""The command from boxes to a bundle, on a few rendered frames and with trainings of seconds."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from plateid.config.models import DEFAULT_BUNDLE
from plateid.models.bundle import Bundle
from train.detector import plate_trainer
from train.export.bundle_export import Export, export_bundle
from train.learn import detector_teaching, proof
from train.learn.gather import Sources
from train.learn.learning import RefusedError, learn
from train.learn.learning_run import LearningRun
from train.learn.street_frames import SETS, street_frames

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL = {"EPOCHS": 1, "SIDE_PX": 64, "BATCH": 16, "PER_EPOCH": 8}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LearningRun:
    """A run that learns from the boxes of rendered frames, with a small network input."""
    for name, value in SMALL.items():
        monkeypatch.setattr(detector_teaching, name, value)
    monkeypatch.setattr(detector_teaching, "SHARES", (1.0,))
    monkeypatch.setattr(plate_trainer, "RENDERED_PLATES", 4)
    for name, number, seed in (("forgetting", 8, 1), ("replay", 8, 2), ("own", 24, 501)):
        monkeypatch.setitem(SETS, name, (number, seed))
    street_frames(tmp_path, "own")
    base = tmp_path / "base"
    export_bundle(Export(base, size="320x192"))
    sources = Sources((tmp_path / "own-streets",))
    return LearningRun(sources, tmp_path / "bundle", base, minutes=0.5, trust=True)


def test_boxes_alone_teach_the_detector(run, monkeypatch):
    monkeypatch.setattr(proof, "MAX_P", -1)
    with pytest.raises(RefusedError, match="detector: no proven gain on 24 held-out images"):
        learn(run)
    assert not (run.work / detector_teaching.FIT).exists()
    monkeypatch.setattr(detector_teaching, "train_network", None)  # all trainings are done
    learn(replace(run, force=True))
    spec, before = Bundle(run.out).spec, Bundle(DEFAULT_BUNDLE).spec
    assert spec.reader == before.reader
    assert "Then train learn with 24 images, real (own-streets)" in spec.detector.origin
    assert not [*run.out.glob("*.float.onnx")]
    report = json.loads((run.out / "report.json").read_text())
    assert (report["own"]["measure"], report["own"]["n"]) == ("mAP50-95", 24)
    assert [each["set"] for each in report["kept"]] == ["your plates", "rendered streets"]
    assert report["bundle"]["detector"]["calibration"] == spec.detector.threshold
    assert "Your images, held out" in (run.out / "report.html").read_text()
