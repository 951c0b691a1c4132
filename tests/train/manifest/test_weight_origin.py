import json
from pathlib import Path

import pytest

from plateid.config.models import SHIPPED, shipped_bundles
from plateid.models.bundle import Bundle
from train.manifest.weight_origin import averaged_with, detector_origin, reader_origin, trained_on

IMAGES = ["romanian", "kaggle", "useu"]
CROPS = [*IMAGES, "us-crops", "cn-crops"]
DETECTOR = {"base": "accurate", "epochs": 9, "imgsz": 640, "data_sha256": "ab"}
DETECTOR |= {"data": ["mine"], "images": {"train": 5}}
READER = {"minutes": 20, "processes": 1, "step": 9, "batch": 64, "real": 0.2, "data": ["mine"]}


def record(folder: Path, run: dict[str, object], name: str = "run.json") -> Path:
    folder.mkdir()
    (folder / name).write_text(json.dumps(run | {"commit": "c"}))
    return folder


@pytest.mark.parametrize("name", shipped_bundles())
def test_training_data_of_shipped_networks_is_listed(name):
    spec = Bundle(SHIPPED / name).spec
    assert trained_on(spec.detector.origin) == IMAGES
    assert trained_on(spec.reader.origin) == CROPS


def test_reader_origin_lists_the_data_of_every_base(tmp_path):
    first = record(tmp_path / "first", READER | {"data": ["my plates"], "base": "default"})
    text = reader_origin(first / "last.pt")
    assert trained_on(text) == ["my plates", *CROPS]
    second = record(tmp_path / "second", READER | {"data": ["b"], "base": str(first / "last.pt")})
    assert trained_on(reader_origin(second / "last.pt")) == ["b", *trained_on(text)]
    alone = record(tmp_path / "alone", READER | {"data": ["/data/b"], "base": None})
    text = reader_origin(alone / "last.pt")
    assert trained_on(text) == ["b"]
    average = text + averaged_with("reader", Path("default"), first / "last.pt")
    assert trained_on(average) == ["b", *CROPS, "my plates", *CROPS]
    assert not reader_origin(tmp_path / "last.pt")
    assert averaged_with("reader", tmp_path / "last.pt").endswith("and those of last.pt")


def test_detector_origin_lists_the_data_of_its_base(tmp_path):
    weights = record(tmp_path / "run", DETECTOR) / "fit" / "weights" / "last.pt"
    assert trained_on(detector_origin(weights)) == ["mine", *IMAGES]


def test_origin_of_an_unfinished_run_says_so(tmp_path):
    run = record(tmp_path / "run", DETECTOR, name="begun.json")
    text = detector_origin(run / "fit" / "weights" / "last.pt")
    assert "; 9 epochs at 640 px, not finished, on 5 images (mine, " in text
    options = {key: READER[key] for key in ("processes", "batch", "real", "data")}
    run = record(tmp_path / "reader", options | {"base": None}, name="begun.json")
    text = reader_origin(run / "last.pt")
    assert text.startswith("PlateNet; not finished, 20% real (mine)")


def test_a_run_that_was_moved_to_the_place_of_its_base_has_an_origin(tmp_path):
    base = tmp_path / "run" / "fit" / "weights" / "best.pt"
    record(tmp_path / "run", DETECTOR | {"base": str(base)})
    assert trained_on(detector_origin(base)) == ["mine"]
    base = tmp_path / "reader" / "last.pt"
    record(tmp_path / "reader", READER | {"base": str(base)})
    assert trained_on(reader_origin(base)) == ["mine"]
