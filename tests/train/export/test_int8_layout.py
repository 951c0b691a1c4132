"""Quantised graphs that are laid out for their kernels say what they said."""

import numpy as np
import onnx
import pytest
import torch
from ultralytics import YOLO

from train.export import int8_layout
from train.export.int8_detector import OPERATORS, sensitive
from train.export.int8_layout import in_fours, unpack, rearrange
from train.export.onnx_networks import Form, export_detector
from train.export.quantise import quantise
from train.export.torch_parity import run, street

pytestmark = pytest.mark.filterwarnings("ignore")
WIDTH, HEIGHT = 96, 64


@pytest.fixture(scope="module", params=["torch.nn.ReLU()", "torch.nn.SiLU()"])
def quantised(tmp_path_factory, request):
    """A YOLOv8n of chance in 8 bits, as the quantiser writes it."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("quantised")
    network = YOLO("yolov8n.yaml", verbose=False)
    network.model = type(network.model)(
        {**network.model.yaml, "activation": request.param}, nc=1, verbose=False
    )
    network.save(folder / "weights.pt")
    export_detector(folder / "weights.pt", folder / "float.onnx", Form(WIDTH, HEIGHT, "float32"))
    noise = np.random.default_rng(0).random((4, 1, 3, HEIGHT, WIDTH), np.float32)
    quantise(
        folder / "float.onnx",
        folder / "quantised.onnx",
        iter(noise),
        operators=OPERATORS,
        in_float=lambda graph: [
            node.name for node in graph.node if sensitive(node.name, head="/model/model.22/")
        ],
    )
    return request.param, onnx.load(folder / "quantised.onnx")


def rearranged(model: onnx.ModelProto, path) -> tuple[list[str], np.ndarray]:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    rearrange(copy)
    onnx.checker.check_model(copy)
    onnx.save(copy, path)
    return [node.op_type for node in copy.graph.node], run(path, street(WIDTH, HEIGHT)[None])


def test_a_rearranged_network_answers_bit_by_bit_as_before(quantised, tmp_path, monkeypatch):
    activation, model = quantised
    operators, answer = rearranged(model, tmp_path / "new.onnx")
    monkeypatch.setattr(int8_layout, "SINGLE", {"strides": []})
    for step in (int8_layout.copy_to_enlarge, int8_layout.join_whole, int8_layout.box_the_best):
        monkeypatch.setattr(int8_layout, step.__name__, lambda graph: graph)
    before, expected = rearranged(model, tmp_path / "old.onnx")
    assert operators.count("Resize") == (0 if "ReLU" in activation else 2)
    assert operators.count("Slice") == before.count("Slice") - 8  # of each C2f
    assert operators.count("Gather") == before.count("Gather") + 2
    assert (before[:2], before.count("Resize")) == (["Transpose", "DequantizeLinear"], 2)
    assert np.array_equal(answer, expected)
    assert np.ptp(answer[0, 4]) > 0


def test_what_does_not_double_a_map_stays_as_it_is(quantised):
    _, model = quantised
    other = onnx.ModelProto()
    other.CopyFrom(model)
    for node in other.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Resize" and attribute.name == "mode":
                attribute.s = b"linear"
    rearrange(other)
    assert [node.op_type for node in other.graph.node].count("Resize") == 2


def test_a_kernel_for_pixels_by_fours_gives_two_places_at_once_and_comes_back():
    rng = np.random.default_rng(0)
    kernel = rng.integers(-60, 60, (16, 3, 3, 3)).astype(np.int8)
    pixels = torch.from_numpy(rng.integers(0, 255, (1, 3, 10, 24)).astype(np.float32))
    expected = torch.conv2d(pixels, torch.from_numpy(kernel).float(), stride=2, padding=1)
    fours = pixels.permute(0, 2, 3, 1).reshape(1, 10, 6, 12).permute(0, 3, 1, 2)
    grouped = torch.from_numpy(in_fours(kernel)).float()
    padded = torch.nn.functional.pad(fours, (1, 0, 1, 0))
    pairs = torch.conv2d(padded, grouped, stride=(2, 1))
    apart = pairs.permute(0, 2, 3, 1).reshape(1, 5, 12, 16).permute(0, 3, 1, 2)
    assert torch.equal(apart, expected)
    assert np.array_equal(unpack(in_fours(kernel)), kernel)


def test_pictures_without_white_do_not_shift_what_the_first_step_adds(quantised, monkeypatch):
    """ONNX Runtime takes a bias to be in steps of input times weights, whatever it says."""
    monkeypatch.setattr(int8_layout, "SINGLE", {"strides": []})
    _, model = quantised
    dim = onnx.ModelProto()
    dim.CopyFrom(model)
    graph = int8_layout._Graph(dim)
    first = next(node for node in dim.graph.node if node.op_type == "Conv")
    weights, (bias, unit) = graph.maker[first.input[1]], graph.maker[first.input[2]].input[:2]
    (quantise_input,) = graph.users[dim.graph.input[0].name]
    graph.set(bias, np.arange(len(graph.value(bias)), dtype=np.int32) * 500)
    added = graph.value(bias) * graph.value(unit)
    brightest = 180 / int8_layout.LEVELS
    graph.set(quantise_input.input[1], np.float32(brightest / int8_layout.LEVELS).reshape(()))
    graph.set(unit, (graph.value(unit) * brightest).astype(np.float32))
    graph.set(bias, np.rint(graph.value(bias) / brightest).astype(np.int32))
    int8_layout.take_bytes(graph)
    steps = graph.value(weights.input[1]) / int8_layout.LEVELS
    assert graph.value(unit) == pytest.approx(steps, rel=1e-3)
    assert graph.value(bias) * steps == pytest.approx(added, abs=float(steps.max()) * 2)


def test_a_first_step_of_another_form_stays_as_it_is(quantised, tmp_path):
    _, model = quantised
    wider = onnx.ModelProto()
    wider.CopyFrom(model)
    first = next(node for node in wider.graph.node if node.op_type == "Conv")
    (pads,) = (attribute for attribute in first.attribute if attribute.name == "pads")
    pads.ints[:] = [2, 2, 0, 0]
    operators, _ = rearranged(wider, tmp_path / "wider.onnx")
    assert operators[:2] == ["Transpose", "DequantizeLinear"]
