"""The detector of a bundle as weights that can be trained further.

A bundle holds convolutions whose batch normalisation was folded in, in 16 or 8 bits. They are put
back into the network with a normalisation that changes nothing, whose statistics are measured on
pictures: it answers as the bundle's, and trains as one that was never exported.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn
from ultralytics.nn.tasks import DetectionModel

from plateid.capture.images import read_image
from plateid.core.geometry import letterboxed
from plateid.models.bundle import Bundle
from plateid.models.onnx_detector import to_detector_input
from train.detector.head_width import renew_towers
from train.export.int8_layout import one_by_one
from train.train_error import TrainError

NETWORK = "yolov8n.yaml"
FIRST = "model.0.conv"
TOWERS = "model.22.cv2.0.0.conv", "model.22.cv3.0.0.conv"
COLOURS = 3
SIDE = 640
"""Of the pictures that the statistics are measured on, in pixels."""
CONVERSIONS = {"QuantizeLinear", "DequantizeLinear", "Cast"}
ENOUGH = 96
"""Pictures to measure on."""
Weights = dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]


def thaw(bundle: Path, out: Path, pictures: Sequence[Path]) -> Path:
    """Writes the detector of a bundle as ultralytics' weights.

    Args:
        bundle: Its folder.
        out: The file to write.
        pictures: To measure statistics on; the first `ENOUGH` are used.

    Raises:
        TrainError: The detector is another network than YOLOv8n with one class.
        PlateidError: The bundle or a picture cannot be used.

    Returns:
        `out`.
    """
    graph = onnx.load_from_string(Bundle(bundle).detector).graph
    found = weights(graph)
    model: Any = DetectionModel(NETWORK, nc=1, verbose=False)
    model.names = {0: "plate"}
    if found.keys() >= {*TOWERS}:
        renew_towers(model.model[-1], *(len(found[tower][0]) for tower in TOWERS))
    model.eval()
    silu = set(before_silu(graph))  # in 8 bits, a ReLU is part of its convolution
    for name, block in model.named_modules():
        if isinstance(getattr(block, "act", None), nn.SiLU | nn.ReLU):
            block.act = nn.SiLU() if f"{name}.conv" in silu else nn.ReLU()
    if not _fill(model, found):
        raise TrainError(f"{bundle}: its detector is not a YOLOv8n of one class")
    _measure(model, pictures[:ENOUGH])
    whole = io.BytesIO()  # of a full disk, torch.save says something else than Python
    torch.save({"model": model, "train_args": {"task": "detect"}}, whole)
    out.write_bytes(whole.getbuffer())
    return out


def before_silu(graph: onnx.GraphProto) -> Iterator[str]:
    """The modules of the convolutions whose activation is SiLU."""
    makers = _makers(graph)
    for node in graph.node:
        if node.op_type == "Sigmoid":
            before = makers[node.input[0]]
            while before.op_type in CONVERSIONS:
                before = makers[before.input[0]]
            if before.op_type == "Conv":
                yield _name(before.input[1], makers)


def _makers(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    return {output: node for node in graph.node for output in node.output}


def weights(graph: onnx.GraphProto) -> Weights:
    """Weight and bias of each convolution that has both, by the name of its module, for RGB."""
    known = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    makers = _makers(graph)
    found = {
        _name(node.input[1], makers): (
            _value(node.input[1], known, makers),
            _value(node.input[2], known, makers),
        )
        for node in graph.node
        if node.op_type == "Conv" and len(node.input) > 2  # one without a bias sums up DFL
    }
    if FIRST in found and graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8:
        kernel, bias = found[FIRST]
        if kernel.shape[1] != COLOURS:
            kernel, bias = one_by_one(kernel), bias[: len(bias) // 2]
        found[FIRST] = np.ascontiguousarray(kernel[:, ::-1]), bias
    return found


def _name(tensor: str, makers: dict[str, onnx.NodeProto]) -> str:
    while tensor in makers:
        tensor = makers[tensor].input[0]
    return tensor.removeprefix("model.").partition(".weight")[0]


def _value(
    tensor: str, known: dict[str, NDArray[Any]], makers: dict[str, onnx.NodeProto]
) -> NDArray[np.float32]:
    """A constant, widened from 16 bits or scaled back from 8."""
    if tensor in known:
        return known[tensor].astype(np.float32)
    maker = makers[tensor]
    if maker.op_type == "Cast":
        return _value(maker.input[0], known, makers)
    stored, scale, zero = (known[name].astype(np.float32) for name in maker.input)
    axes = (1,) * (stored.ndim - 1)
    return np.asarray((stored - zero.reshape(-1, *axes)) * scale.reshape(-1, *axes), np.float32)


def _fill(model: nn.Module, found: Weights) -> bool:
    """Puts weights into all convolutions; whether they fit."""
    modules = dict(model.named_modules())
    wanted = {n: m for n, m in modules.items() if isinstance(m, nn.Conv2d) and "dfl" not in n}
    if {n: tuple(m.weight.shape) for n, m in wanted.items()} != {
        n: weight.shape for n, (weight, _) in found.items()
    }:
        return False
    for name, convolution in wanted.items():
        weight, bias = map(torch.from_numpy, found[name])
        convolution.weight.data = weight
        if convolution.bias is not None:
            convolution.bias.data = bias
        else:
            _normalise(modules[name.removesuffix("conv") + "bn"], bias=bias)
    return True


def _normalise(norm: Any, *, bias: Tensor) -> None:
    """A batch normalisation that adds a bias and changes nothing else."""
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)
    norm.weight.data.fill_(1)
    norm.bias.data = bias


def _measure(model: nn.Module, pictures: Iterable[Path]) -> None:
    """Gives each normalisation the statistics of what it sees; its answers stay the same."""
    blocks: list[Any] = [m for m in model.modules() if hasattr(m, "bn") and hasattr(m, "conv")]
    canvas = np.empty((SIDE, SIDE, 3), np.uint8)
    with torch.no_grad(), _moments(blocks) as moments:
        for path in pictures:
            letterboxed(read_image(path), canvas)
            model(torch.from_numpy(to_detector_input(canvas)))
    for block in blocks:
        count, total, squares = moments[block]
        if count:
            mean = total / count
            variance = (squares / count - mean**2).clamp_min(0)
            block.bn.running_mean.copy_(mean)
            block.bn.running_var.copy_(variance)
            block.bn.weight.data = torch.sqrt(variance + block.bn.eps).float()
            block.bn.bias.data += mean.float()


@contextmanager
def _moments(blocks: Sequence[Any]) -> Iterator[dict[Any, list[Any]]]:
    """Count, sum and sum of squares, by channel, of what each block's convolution gives."""
    moments: dict[Any, list[Any]] = {block: [0, 0, 0] for block in blocks}

    def note(block: Any) -> Any:
        def hook(_module: Any, _inputs: Any, output: Tensor) -> None:
            values, so_far = output.double(), moments[block]
            so_far[0] += values.numel() // values.shape[1]
            so_far[1] = so_far[1] + values.sum((0, 2, 3))
            so_far[2] = so_far[2] + (values**2).sum((0, 2, 3))

        return hook

    handles = [block.conv.register_forward_hook(note(block)) for block in blocks]
    try:
        yield moments
    finally:
        for handle in handles:
            handle.remove()
