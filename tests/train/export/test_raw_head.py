"""`train export --for`: detectors without a decode tail, as the tools of NPU makers take them."""

import numpy as np
import onnx
import pytest
import torch
from ultralytics import YOLO

from plateid.models.onnx_backend import OnnxBackend
from plateid.models.session import CPU
from train.export.bundle_export import Export, export_bundle
from train.export.onnx_networks import export_raw_head
from train.train_error import TrainError

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("maker", ["rknn", "hailo"])
def test_maps_of_each_stride_decode_to_the_boxes_of_ultralytics(tmp_path, weights, maker):
    export_bundle(Export(tmp_path / "mine", weights, size="96x64", maker=maker))
    path = tmp_path / f"mine-{maker}.onnx"
    graph = onnx.load(path).graph
    names = [f"{kind}{n}" for n in range(3) for kind in ("boxes", "scores")]
    assert [each.name for each in graph.output] == names
    kinds = {node.op_type for node in graph.node}
    assert not kinds & {"Softmax", "TopK", "NonMaxSuppression", "Gather", "Sub"}
    inputs = np.random.default_rng(1).random((1, 3, 64, 96), np.float32)
    backend = OnnxBackend(str(path), path.read_bytes(), CPU)
    assert backend.inputs[0].shape == (1, 3, 64, 96)
    maps = [torch.from_numpy(each) for each in backend.run(inputs)]
    model = YOLO(weights).model.float().eval()
    with torch.inference_mode():
        expected = model(torch.from_numpy(inputs))[0].numpy()
        scores = torch.cat([each.flatten(2) for each in maps[1::2]], 2)
        boxes = model.model[-1].dfl(torch.cat([each.flatten(2) for each in maps[::2]], 2))
    scores = scores.numpy() if maker == "rknn" else scores.sigmoid().numpy()
    assert scores[0, 0] == pytest.approx(expected[0, 4], abs=1e-4)
    strides = np.repeat([8, 16, 32], [96, 24, 6])
    widths = ((boxes[0, 0] + boxes[0, 2]).numpy() * strides).tolist()
    assert widths == pytest.approx(expected[0, 2].tolist(), abs=0.05)


def test_network_for_an_npu_that_fails_its_check_is_not_written(tmp_path, weights, monkeypatch):
    monkeypatch.setattr("train.export.onnx_networks.TOLERANCE", -1.0)
    with pytest.raises(TrainError, match="differ"):
        export_raw_head(YOLO(weights).model, tmp_path / "a.onnx", "hailo", width=96, height=64)
    assert list(tmp_path.iterdir()) == []


def test_network_for_an_npu_needs_a_detector(tmp_path):
    with pytest.raises(TrainError, match="--for: only with --detector"):
        export_bundle(Export(tmp_path / "mine", maker="hailo"))
