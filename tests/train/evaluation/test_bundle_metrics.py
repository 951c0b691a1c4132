"""What `python -m train evaluate --write` writes into a bundle."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from plateid.capture.images import read_image
from plateid.config.models import SHIPPED, ModelsConfig
from plateid.core.reading import read_detections
from plateid.core.records import Detection
from plateid.models.bundle import Bundle
from plateid.models.networks import Networks
from plateid.models.tta import TtaReader
from tests.support.bundles import detector_network, reader_network, write_bundle
from tests.support.drop_in import slot_network, write_config
from tests.train.evaluation.evaluation_samples import ELSEWHERE, PLATE, folder
from train.__main__ import main
from train.evaluation.bundle_metrics import update_bundle
from train.evaluation.evaluate import EvaluationRun, evaluate
from train.train_error import TrainError

BEFORE = """
# Mine to keep.
[metrics]
data_recall = 0.1
data_exact = 0.2
data_2_recall = 0.3 # another source
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Finds PLATE with a score of 0.2, and reads AO12."""
    detector = detector_network([(32, 16, 20, 8, 0.2)])
    made = write_bundle(tmp_path / "bundle", detector, reader_network("AA-O-1-2"))
    with (made / "bundle.toml").open("a") as file:
        file.write(BEFORE)
    return made


def command(*words: object) -> str:
    ran = CliRunner().invoke(main, ["evaluate", *map(str, words)])
    assert ran.exit_code == 0, ran.output
    return ran.output


def lower_threshold(tiny: Path) -> None:
    spec = tiny / "bundle.toml"
    spec.write_text(spec.read_text().replace("threshold = 0.3", "threshold = 0.2"))


def test_metrics_of_each_source_are_written(tmp_path, tiny):
    lower_threshold(tiny)
    rows = [f"{n}.png,{PLATE},A012" for n in range(60)]
    folders = [
        folder(tmp_path / "one data", *rows),
        folder(tmp_path / "other", *rows, *(f"{n}.png,{ELSEWHERE}," for n in range(60))),
    ]
    options = ("--held-out", "--write", "--out", tmp_path / "out")
    command(*folders, "--bundle", tiny, *options)
    spec = Bundle(tiny).spec
    assert {name: spec.metrics[name] for name in spec.metrics if name.startswith("one")} == {
        "one_data_recall": 1,
        "one_data_mAP50": 1,
        "one_data_mAP50_95": 1,
        "one_data_exact": 0,
        "one_data_folded": 1,
        "one_data_cer": 0.25,
        "one_data_sure": 1,
        "one_data_sure_right": 1,
        "one_data_crops_exact": 0,
        "one_data_crops_folded": 1,
        "one_data_crops_cer": 0.25,
    }
    assert spec.metrics["other_recall"] == 0.5
    assert "| one_data | 1.000 |" in (tiny / "MODEL_CARD.md").read_text()
    assert "score threshold | 0.2" in (tiny / "MODEL_CARD.md").read_text()


def test_metrics_of_other_sources_are_kept(tmp_path, tiny):
    command(
        folder(tmp_path / "data", f"a.png,{PLATE},"), "--bundle", tiny, "--write", "--out", tiny
    )
    text = (tiny / "bundle.toml").read_text()
    assert tomllib.loads(text)["metrics"] == {
        "data_2_recall": 0.3,
        "data_recall": 0,
        **dict.fromkeys(("data_mAP50", "data_mAP50_95"), 1),
    }
    assert "# Mine to keep." in text
    assert "# another source" in text
    assert Bundle(tiny).spec.detector.threshold == 0.3
    assert not list(tiny.glob("*.tmp"))


def test_fitted_temperature_calibrates_the_device(tmp_path, tiny):
    rows = [f"{n}.png,{PLATE},{'XX99' if n % 3 else 'AO12'}" for n in range(60)]
    options = ("--bundle", tiny, "--held-out", "--out", tmp_path / "out")
    data = folder(tmp_path / "data", *rows)
    lower_threshold(tiny)
    output = command(data, *options, "--calibrate", "--write")
    temperature = Bundle(tiny).spec.reader.temperature
    assert temperature > 1
    assert "data_2_recall" not in Bundle(tiny).spec.metrics, "it holds for another temperature"
    assert f"temperature {temperature} " in output

    def record() -> dict[str, Any]:
        return json.loads((tmp_path / "out" / "report.json").read_text())["reader"]

    fitted = record()
    assert fitted["temperature"]["before"]["error"] > 0.2
    command(data, *options)
    again = record()
    assert again["calibration"] == fitted["temperature"]["after"] == fitted["calibration"]
    assert again["calibration"]["error"] < 0.01
    assert again["temperature"] is None


def test_metrics_of_passes_and_plate_crops_are_written(tmp_path, tiny):
    rows = [f"{n}.png,{PLATE},AO12,ride,{n}" for n in range(3)]
    ride = folder(tmp_path / "ride", *rows, header="image,x1,y1,x2,y2,text,video,t")
    crops = folder(tmp_path / "cut out", "a.png,AO12", "b.png,XX", header="image,text")
    lower_threshold(tiny)
    command(ride, "--crops", crops, "--bundle", tiny, "--write", "--out", tmp_path / "out")
    metrics = Bundle(tiny).spec.metrics
    assert {key: metrics[key] for key in metrics if key.startswith(("ride_f", "cut"))} == {
        "ride_folded": 1,
        "ride_fused": 1,
        "cut_out_crops_exact": 0.5,
        "cut_out_crops_folded": 0.5,
        "cut_out_crops_cer": 0.667,
    }


def test_metrics_of_crops_do_not_collide_with_those_of_a_similar_name(tmp_path, tiny):
    us = folder(tmp_path / "us", f"a.png,{PLATE},AO12")
    crops = folder(tmp_path / "us-crops", "a.png,AO12", "b.png,XX", header="image,text")
    lower_threshold(tiny)
    for words in ((us, "--crops", crops), ("--crops", crops)):
        command(*words, "--bundle", tiny, "--write", "--out", tmp_path / "out")
        metrics = Bundle(tiny).spec.metrics
        assert (metrics["us_crops_exact"], metrics["us_crops_folded"]) == (1.0, 1.0)
        assert metrics["us_crops_crops_exact"] == 0.5


def test_a_bundle_that_cannot_be_written_is_named(tmp_path, tiny):
    data = folder(tmp_path / "data", f"a.png,{PLATE},")
    evaluation = evaluate(EvaluationRun((data,), tiny, write=True, out=tmp_path / "out"))
    (tiny / "MODEL_CARD.md").mkdir()
    with pytest.raises(TrainError, match=r"MODEL_CARD\.md.*: Is a directory"):
        update_bundle(evaluation)


def test_a_shipped_bundle_is_given_by_its_name(tmp_path):
    data = folder(tmp_path / "kaggle", f"a.png,{PLATE},")
    lines = command(data, "--bundle", "default", "--out", tmp_path / "out").splitlines()
    assert lines[0].startswith(f"{data}: the bundle was trained on it; use --held-out")
    record = json.loads((tmp_path / "out" / "report.json").read_text())
    assert record["run"]["bundle"] == str(SHIPPED / "default")


def test_metrics_on_training_data_are_not_written(tmp_path, tiny):
    spec, data = tiny / "bundle.toml", folder(tmp_path / "data", f"a.png,{PLATE},A012")
    origin = 'origin = "PlateNet; 20% real (data), the others rendered"'
    spec.write_text(spec.read_text().replace("[reader]", f"[reader]\n{origin}"))
    before = spec.read_text()
    words = [
        "evaluate",
        str(data),
        "--bundle",
        str(tiny),
        "--write",
        "--out",
        str(tmp_path / "out"),
    ]
    ran = CliRunner().invoke(main, words)
    assert "--write: " in str(ran.exception)
    assert spec.read_text() == before


def test_evaluate_without_data_is_a_usage_error():
    ran = CliRunner().invoke(main, ["evaluate"])
    assert ran.exit_code == 2
    assert "give folders of labelled images, or --crops" in ran.output


def test_temperature_of_a_drop_in_reader_is_written_beside_it(tmp_path, tiny):
    model = tmp_path / "other.onnx"
    model.write_bytes(slot_network())
    write_config(tmp_path / "other_config.yaml")
    before = (tiny / "bundle.toml").read_text()
    config = ModelsConfig(bundle=tiny, reader=str(model))
    crops = folder(tmp_path / "crops", *(f"{n}.png,XX99" for n in range(30)), header="image,text")
    rows, read = ["image,text"], TtaReader(Networks(config).reader()).read
    for n in range(30):
        image = read_image(crops / "images" / f"{n}.png")
        (plate,) = read_detections(image, [Detection((0, 0, 640, 320), 1.0)], read)
        rows.append(f"{n}.png,{'XX99' if n % 3 else plate.text}")
    (crops / "labels.csv").write_text("\n".join(rows))
    options = ("--crops", crops, "--bundle", tiny, "--out", tmp_path / "out", "--reader", model)
    output = command(*options, "--calibrate")
    written = tomllib.loads((tmp_path / "other.calibration.toml").read_text())
    assert Networks(config).spec.reader.temperature == written["temperature"] > 1
    assert f"temperature {written['temperature']} " in output
    assert (tiny / "bundle.toml").read_text() == before
    record = json.loads((tmp_path / "out" / "report.json").read_text())
    assert record["bundle"]["reader"]["name"] == "other"
    with pytest.raises(TrainError, match="--write: changes the bundle; with --reader, use"):
        evaluate(EvaluationRun((), tiny, crops=(crops,), reader=model, write=True))
