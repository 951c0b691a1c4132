import shutil
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from ultralytics import YOLO

from plateid.config.models import SHIPPED
from plateid.models.bundle import Bundle
from plateid.models.onnx_detector import to_detector_input
from plateid.models.onnx_reader import to_reader_input
from train.export import int8_detector, int8_reader
from train.export.best_candidates import COUNT
from train.export.bundle_export import Export, export_bundle
from train.export.int8_detector import stays_in_float
from train.export.torch_parity import check_candidates, infer
from train.reader.platenet import PlateNet
from train.reader.reader_weights import MODEL, load_base
from train.synth.crop_database import write_crop_folder
from train.train_error import TrainError

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(("size", "count"), [("64x64", 84), ("640x384", COUNT)])
def test_exported_detector_gives_the_best_candidates_of_ultralytics(tmp_path, weights, size, count):
    out = tmp_path / "bundle"
    export_bundle(Export(out, weights, size=size, precision="float32"))
    width, height = (int(side) for side in size.split("x"))
    inputs = np.random.default_rng(0).random((1, 3, height, width), np.float32)
    got = infer(out / "detector.onnx", inputs)
    model = YOLO(weights).model.float().eval()
    with torch.inference_mode():
        every = model(torch.from_numpy(inputs))[0].numpy()
    best = np.argsort(-every[0, 4])[:count]
    assert got.shape == (1, 5, count)
    check_candidates(out, got, every[:, :, best], box=1.0, score=1e-3)


def test_int8_detector_is_smaller_and_gives_similar_scores(tmp_path, weights, data):
    out = tmp_path / "bundle"
    export_bundle(Export(out, weights, size="64x64", precision="int8", data=(str(data),)))
    spec = tomllib.loads((out / "bundle.toml").read_text())["detector"]
    assert spec["precision"] == "int8"
    assert (out / "detector.onnx").stat().st_size < 4_000_000
    exact = tmp_path / "exact"
    export_bundle(Export(exact, weights, size="64x64", precision="float32"))
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    outputs = (
        infer(out / "detector.onnx", image[None]),
        infer(exact / "detector.onnx", to_detector_input(image)),
    )
    scores = [np.sort(output[0, 4]) for output in outputs]
    assert 0 < np.abs(scores[0] - scores[1]).max() < 0.1


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Path:
    """A checkpoint with the weights of the shipped float16 reader."""
    ours = PlateNet()
    load_base(ours, SHIPPED / "accurate")
    path = tmp_path_factory.mktemp("reader") / "last.pt"
    torch.save({MODEL: ours.state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def plates(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("rendered") / "plates"
    write_crop_folder(folder, 60, seed=5, workers=None)
    return folder


def test_int8_reader_gives_similar_probabilities_and_keeps_trainable_weights(
    tmp_path, reader, plates
):
    out, exact = tmp_path / "int8", tmp_path / "float"
    export_bundle(Export(out, reader=reader, precision="int8", data=(str(plates),)))
    export_bundle(Export(exact, reader=reader, precision="float32"))
    spec = Bundle(out).spec
    assert (spec.reader.precision, spec.reader.name) == ("int8", "int8")
    assert (out / "reader.onnx").stat().st_size < (exact / "reader.onnx").stat().st_size
    image = cv2.imread(str(min((plates / "images").iterdir())))
    crop = to_reader_input(image, spec.reader)[None]
    outputs = infer(out / "reader.onnx", crop), infer(exact / "reader.onnx", crop)
    assert 0 < np.abs(outputs[0] - outputs[1]).mean() < 0.01
    fresh, ours = PlateNet(), PlateNet()
    load_base(fresh, out)
    load_base(ours, reader)
    kept = fresh.state_dict()
    for name, weight in ours.state_dict().items():
        if weight.is_floating_point():
            assert torch.allclose(kept[name], weight, rtol=1e-3, atol=1e-4), name
    export_bundle(Export(out, reader=reader))
    assert Bundle(out).spec.reader.name == "int8", "the name stays without --name"


def test_int8_reader_needs_a_held_out_plate(tmp_path, reader, plates):
    one = tmp_path / "one"
    shutil.copytree(plates, one)
    head, first, *_ = (one / "labels.csv").read_text().splitlines()
    (one / "labels.csv").write_text(f"{head}\n{first}\n")
    with pytest.raises(TrainError, match="one: no plate with a text is held out to check INT8"):
        export_bundle(Export(tmp_path / "b", reader=reader, precision="int8", data=(str(one),)))


def test_int8_reader_that_loses_plates_is_refused(tmp_path, reader, plates, monkeypatch):
    monkeypatch.setattr(int8_reader, "MAX_LOSS", -2.0)
    monkeypatch.setattr(int8_reader, "MIN_LOST", -100)
    with pytest.raises(
        TrainError, match=r"\d+ of \d+ held-out plates are read correctly with INT8, \d+ with"
    ):
        export_bundle(Export(tmp_path / "b", reader=reader, precision="int8", data=(str(plates),)))
    assert not (tmp_path / "b").exists()


def test_int8_detector_that_loses_accuracy_is_refused(tmp_path, weights, data, monkeypatch):
    monkeypatch.setattr(int8_detector, "MAX_LOSS", -2.0)
    with pytest.raises(TrainError, match=r"mAP50 falls from \d\.\d+ to \d\.\d+ with INT8"):
        export_bundle(
            Export(tmp_path / "b", weights, size="64x64", precision="int8", data=(str(data),))
        )


@pytest.mark.parametrize(
    ("node", "kept"),
    [
        ("/model/model.4/cv1/conv/Conv", False),
        ("/model/model.22/cv2.0/cv2.0.1/conv/Conv", False),
        ("/model/model.22/cv3.2/cv3.2.2/Conv", True),
        ("/model/model.22/Concat_1", True),
        ("/dfl/conv/Conv", True),
        ("/TopK", True),
    ],
)
def test_output_layers_stay_in_float(node, kept):
    assert stays_in_float(node, head="/model/model.22/") is kept
