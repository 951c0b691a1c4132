import json
from pathlib import Path

import pytest

from plateid.config.models import SHIPPED, shipped_bundles
from plateid.models.bundle import Bundle
from train.manifest.model_card import card, mean_with, origin, origin_of_reader, trained_on

OURS = ["romanian", "kaggle", "useu"]
CROPS = [*OURS, "us-crops", "cn-crops"]


@pytest.mark.parametrize("name", shipped_bundles())
def test_the_card_of_a_bundle_that_ships_says_what_its_bundle_toml_says(name):
    spec = Bundle(SHIPPED / name).spec
    assert (SHIPPED / name / "MODEL_CARD.md").read_text() == card(spec)
    assert f"| {spec.metrics['us_recall']:.3f} |" in card(spec)
    assert all(limit in card(spec) for limit in spec.limits)


@pytest.mark.parametrize("name", shipped_bundles())
def test_what_the_networks_that_ship_were_trained_on_can_be_told(name):
    spec = Bundle(SHIPPED / name).spec
    assert trained_on(spec.detector.origin) == OURS
    assert trained_on(spec.reader.origin) == CROPS


def test_weights_are_trained_on_what_those_were_that_they_began_with(tmp_path):
    run = {"network": "plateid", "minutes": 20, "processes": 1, "step": 9, "batch": 64, "real": 0.2}
    first = record(tmp_path / "first", run | {"data": ["my plates"], "base": "default"})
    text = origin_of_reader(first / "last.pt")
    assert trained_on(text) == ["my plates", *CROPS]
    second = record(tmp_path / "second", run | {"data": ["b"], "base": str(first / "last.pt")})
    assert trained_on(origin_of_reader(second / "last.pt")) == ["b", *trained_on(text)]
    alone = record(tmp_path / "alone", run | {"data": ["/data/b"], "base": None})
    text = origin_of_reader(alone / "last.pt")
    assert trained_on(text) == ["b"]
    mean = text + mean_with("reader", Path("default"), first / "last.pt")
    assert trained_on(mean) == ["b", *CROPS, "my plates", *CROPS]
    assert not origin_of_reader(tmp_path / "last.pt")
    assert mean_with("reader", tmp_path / "last.pt").endswith("and those of last.pt")


def test_a_detector_is_trained_on_what_its_base_was(tmp_path):
    run = {"data": ["mine"], "base": "accurate", "epochs": 9, "imgsz": 640, "data_sha256": "ab"}
    found = record(tmp_path / "run", run | {"pictures": {"train": 5}})
    weights = found / "fit" / "weights" / "last.pt"
    assert trained_on(origin(weights)) == ["mine", *OURS]


def test_what_a_training_that_goes_on_is_trained_on_can_be_told(tmp_path):
    run = {"data": ["mine"], "base": "default", "epochs": 9, "imgsz": 640, "data_sha256": "ab"}
    found = record(tmp_path / "run", run | {"pictures": {"train": 5}}, name="begun.json")
    text = origin(found / "fit" / "weights" / "last.pt")
    assert "; 9 epochs at 640 px, not to the end, on 5 pictures (mine, " in text
    assert trained_on(text) == ["mine", *OURS]
    run = {"network": "plateid", "processes": 2, "batch": 64, "real": 0.2, "base": None}
    found = record(tmp_path / "reader", run | {"data": ["mine"]}, name="begun.json")
    text = origin_of_reader(found / "last.pt")
    assert text.startswith("plateid; not to the end, 20% real (mine)")
    assert trained_on(text) == ["mine"]


def test_a_run_that_was_moved_to_where_its_base_was_has_an_origin(tmp_path):
    base = str(tmp_path / "run" / "fit" / "weights" / "best.pt")
    run = {"data": ["mine"], "base": base, "epochs": 9, "imgsz": 640, "data_sha256": "ab"}
    record(tmp_path / "run", run | {"pictures": {"train": 5}})
    assert trained_on(origin(Path(base))) == ["mine"]
    base = str(tmp_path / "reader" / "last.pt")
    run = {"network": "plateid", "minutes": 20, "processes": 1, "step": 9, "batch": 64, "real": 0.2}
    record(tmp_path / "reader", run | {"data": ["mine"], "base": base})
    assert trained_on(origin_of_reader(Path(base))) == ["mine"]


def record(folder: Path, run: dict[str, object], name: str = "run.json") -> Path:
    folder.mkdir()
    (folder / name).write_text(json.dumps(run | {"commit": "c"}))
    return folder
