"""The study of countries: one cell is known, the other is learnt on a few rendered plates."""

import json
import re
from dataclasses import replace

import pytest

from plateid.config.models import DEFAULT_BUNDLE
from train.learn import rehearsal, study, teaching
from train.learn.gather import LearningRun, Sources
from train.synth.crop_database import write_crop_folder
from train.train_error import TrainError


@pytest.mark.filterwarnings("ignore")
def test_study_resumes_and_compares_plates_of_other_vehicles(tmp_path, monkeypatch):
    for name, value in {"LABELS": (10,), "SEEDS": (0, 1), "TESTED": (2, 4), "RENDERED": {}}.items():
        monkeypatch.setattr(study, name, value)
    monkeypatch.setattr(teaching, "SHARES", (1.0,))
    for name, (_, seed, share) in rehearsal.CROPS.items():
        monkeypatch.setitem(rehearsal.CROPS, name, (24, seed, share))
    for seed, name in enumerate(("land", "sea"), 501):
        write_crop_folder(tmp_path / name, 16, seed=seed, workers=1)
    run = LearningRun(Sources((tmp_path / "land",)), tmp_path / "out", DEFAULT_BUNDLE, minutes=0.1)
    run = replace(run, keep=(tmp_path / "sea",))
    known = {
        "minutes": 3.0,
        "reasons": ["forgot"],
        "reads": {"land": [["AB1", "AB2", "AB1"]], "sea": [["A0", "AO", "A1"], ["B1", "", "BI"]]},
    }
    run.out.mkdir()
    (run.out / "land-10-0.json").write_text(json.dumps(known))
    table = study.study(run).splitlines()
    assert (run.out / "study.md").read_text().splitlines() == table
    learnt = json.loads((run.out / "land-10-1.json").read_text())
    (cells,) = json.loads((run.out / "study.json").read_text())[1:]
    texts = {text for text, _, _ in learnt["reads"]["land"]}
    assert 2 <= len(texts) <= 4
    assert 1 <= len(learnt["reads"]["sea"]) < 16, "only held-out plates are read"
    count = len(learnt["reads"]["land"])
    right = sum(text == before for text, before, _ in learnt["reads"]["land"])
    assert cells[:3] == ["land", 10, f"{right / (1 + count):.3f}"]
    assert cells[7:9] == ["0.000", "0.000"], "sea loses one of its two plates and gains the other"
    assert cells[-1] in {"1/2", "2/2"}
    assert not list(run.out.glob("land-10-1*/"))
    written = (run.out / "land-10-1.json").stat().st_mtime_ns
    assert study.study(run).splitlines() == table
    assert (run.out / "land-10-1.json").stat().st_mtime_ns == written


def test_study_of_other_labels_does_not_resume(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "Rehearsal", None)  # an interruption
    write_crop_folder(tmp_path / "land", 4, seed=501, workers=1)
    run = LearningRun(Sources((tmp_path / "land",)), tmp_path / "out", DEFAULT_BUNDLE)
    with pytest.raises(TypeError):
        study.study(run)
    table = tmp_path / "land" / "labels.csv"
    table.write_text(re.sub("(?<=png,)[A-Z0-9]", "7", table.read_text(), count=1))
    with pytest.raises(TrainError, match="holds a run with other data_sha256"):
        study.study(run)


def test_folders_of_one_name_are_refused(tmp_path):
    folders = [tmp_path / side / "land" for side in ("a", "b")]
    for folder in folders:
        write_crop_folder(folder, 4, seed=501, workers=1)
    with pytest.raises(TrainError, match="two folders of --data have the same name"):
        study.study(LearningRun(Sources(tuple(folders)), tmp_path / "out", DEFAULT_BUNDLE))


def test_rendered_country_has_one_design_and_random_texts(monkeypatch):
    monkeypatch.setattr(study, "TESTED", (1, 2))
    one, two = (study._rendered(name, *form, 1) for name, form in study.RENDERED.items())
    assert len({plate.text for plate in one}) == 4
    assert all(re.fullmatch("[0-9]{10}", plate.text) for plate in one)
    assert all(re.fullmatch("[A-Z]{2}[0-9]{4}", plate.text) for plate in two)
    widths, rows = ([plate.box[2] / plate.box[3] for plate in side] for side in (one, two))
    assert sum(widths) > 1.5 * sum(rows)
