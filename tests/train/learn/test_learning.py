"""The command from labels to a bundle, on a few rendered plates and with trainings of seconds."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from plateid.config.models import DEFAULT_BUNDLE
from plateid.core.text import fold
from plateid.models.bundle import Bundle
from train.export.bundle_export import Export, export_bundle
from train.learn import study, teaching
from train.learn.gather import LearningRun, Sources
from train.learn.learning import RefusedError, learn
from train.synth.crop_database import write_crop_folder
from train.train_error import TrainError


@pytest.fixture(scope="module")
def plates(tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "TESTED", (1, 8))
        labelled = study._rendered("ten digits", *study.RENDERED["ten digits"], 0)
    return study._write_labels(tmp_path_factory.mktemp("learn") / "plates", labelled)


@pytest.fixture
def run(plates, tmp_path, monkeypatch) -> LearningRun:
    monkeypatch.setattr(teaching, "SHARES", (1.0,))
    write_crop_folder(tmp_path / "old", 40, seed=502, workers=1)
    run = LearningRun(Sources((plates,)), tmp_path / "bundle", DEFAULT_BUNDLE, minutes=0.2)
    return replace(run, keep=(tmp_path / "old",))


def reads(bundle: Path, folder: Path) -> list[tuple[str, str]]:
    """Returns the texts of the plates that are held out, and what a bundle reads."""
    plates = study._held_out(folder)
    return [(text, fold(read)) for text, read in study._read([bundle], plates)]


@pytest.mark.filterwarnings("ignore")
def test_refused_run_writes_no_bundle_and_goes_on_with_force(run, monkeypatch):
    monkeypatch.setattr(teaching, "MAX_P", -1)
    with pytest.raises(RefusedError, match="no proven gain on"):
        learn(run)
    assert not run.out.exists()
    refused = json.loads((run.work / "report.json").read_text())
    assert refused["gate"] == "refused"
    trained = (run.work / "fold 3 of 3, training 3 of 3.pt").stat().st_mtime_ns
    with pytest.raises(RefusedError):
        learn(run)
    assert (run.work / "fold 3 of 3, training 3 of 3.pt").stat().st_mtime_ns == trained, (
        "a resumed run trains nothing anew"
    )
    learn(replace(run, force=True))
    assert not run.work.exists()
    spec = Bundle(run.out).spec
    assert spec.name == spec.reader.name == "bundle"
    assert spec.detector == Bundle(DEFAULT_BUNDLE).spec.detector
    assert "Then train learn with" in spec.reader.origin
    assert (spec.format, spec.reader.syntax) == (2, {"DDDDDDDDDD": 16})
    report = json.loads((run.out / "report.json").read_text())
    own = report["own"]
    assert own["n"] > 5
    assert spec.metrics["own_plates"] == own["n"]
    assert spec.metrics["own_after"] == pytest.approx(own["after"], abs=1e-4)
    assert own["ci"][0] <= own["after"] <= own["ci"][1]
    old = next(each for each in report["kept"] if each["set"] == "old")
    read = [reading == fold(text) for text, reading in reads(run.out, run.keep[0])]
    assert (old["n"], old["after"]) == (len(read), sum(read) / len(read)), "the file is measured"
    page = (run.out / "report.html").read_text()
    assert "Your plates, held out" in page
    assert "<code>DDDDDDDDDD</code> 16." in page
    export_bundle(Export(run.out, name="renamed"))
    assert Bundle(run.out).spec.reader.syntax == spec.reader.syntax
    with pytest.raises(TrainError, match="already exists"):
        learn(run)
