import numpy as np
import onnx
import pytest
import torch
from ultralytics import YOLO

from plateid.models.onnx_detector import to_detector_input
from train.detector.onnx_weights import pack, read_weights, unpack
from train.detector.yolo_weights import load_fused
from train.export.best_candidates import BestCandidates
from train.export.int8_detector import detector_plan
from train.export.int8_layout import Int8Candidates, take_bytes
from train.export.onnx_networks import export_checked
from train.export.quantise import quantise
from train.export.torch_parity import check_candidates, demo_frame, infer

pytestmark = pytest.mark.filterwarnings("ignore")
WIDTH, HEIGHT = 96, 64
SIZE = {"width": WIDTH, "height": HEIGHT}


@pytest.fixture(scope="module", params=["torch.nn.ReLU()", "torch.nn.SiLU()"])
def model(tmp_path_factory, request):
    """An untrained YOLOv8n."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("layout") / "weights.pt"
    network = YOLO("yolov8n.yaml", verbose=False)
    settings = {**network.model.yaml, "activation": request.param}
    network.model = type(network.model)(settings, nc=1, verbose=False)
    network.save(path)
    return load_fused(str(path))


def test_layout_changes_no_output(model):
    image = demo_frame(WIDTH, HEIGHT)
    plain, laid_out = BestCandidates(model, **SIZE), Int8Candidates(model, **SIZE)
    with torch.inference_mode():
        expected = plain(torch.from_numpy(to_detector_input(image))).numpy()
        got = laid_out(torch.from_numpy(image[None] / np.float32(255))).numpy()
    check_candidates("layout", got, expected, box=0.1, score=1e-4)
    assert model.model[0].conv.weight.shape[1] == 3, "the model itself is unchanged"


def test_quantised_graph_takes_bytes_and_keeps_the_weights(model, tmp_path):
    path = tmp_path / "detector.onnx"
    image = demo_frame(WIDTH, HEIGHT)[None]
    expected = export_checked(Int8Candidates(model, **SIZE), image / np.float32(255), path)
    noise = np.random.default_rng(0).random((4, 1, HEIGHT, WIDTH, 3), np.float32) * 0.7
    quantise(path, path, iter(noise), detector_plan("/model/model.22/"))
    take_bytes(path)
    graph = onnx.load(path).graph
    operators = [node.op_type for node in graph.node]
    assert (operators.count("Resize"), operators.count("Conv")) == (0, 64)
    scores = [np.sort(output[0, 4]) for output in (infer(path, image), expected)]
    assert np.abs(scores[0] - scores[1]).max() < 0.02
    kernel, bias = read_weights(graph)["model.0.conv"]
    first = model.model[0].conv
    assert np.allclose(kernel, first.weight.detach().numpy(), atol=0.01)
    assert np.allclose(bias, first.bias.detach().numpy(), atol=0.01)


def test_first_convolution_of_another_form_is_not_packed(model):
    wide = BestCandidates(model, **SIZE).model.model[0].conv
    before, wide.padding = wide.padding, (0, 0)
    try:
        assert not Int8Candidates(model, **SIZE)._is_packed
    finally:
        wide.padding = before


def test_packed_kernel_gives_two_outputs_and_is_unpacked():
    rng = np.random.default_rng(0)
    kernel = rng.integers(-60, 60, (16, 3, 3, 3)).astype(np.float32)
    pixels = torch.from_numpy(rng.integers(0, 255, (1, 3, 10, 24)).astype(np.float32))
    expected = torch.conv2d(pixels, torch.from_numpy(kernel), stride=2, padding=1)
    fours = pixels.permute(0, 2, 3, 1).reshape(1, 10, 6, 12).permute(0, 3, 1, 2)
    padded = torch.nn.functional.pad(fours, (1, 0, 1, 0))
    pairs = torch.conv2d(padded, torch.from_numpy(pack(kernel)), stride=(2, 1))
    apart = pairs.permute(0, 2, 3, 1).reshape(1, 5, 12, 16).permute(0, 3, 1, 2)
    assert torch.equal(apart, expected)
    assert np.array_equal(unpack(pack(kernel)), kernel)
