"""Reads the weights of a detector's convolutions from an ONNX graph, and packs the first one.

ONNX Runtime's integer kernels are slow for three channels. So four pixels side by side become one
position of 12 channels, and the convolution gives two outputs at each. The sums are the same.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from plateid.models.bundle import Bundle

FIRST = "model.0.conv"
"""Name of the first convolution."""
COLOURS = 3
"""Input channels of an unpacked image."""
CONVERSIONS = {"QuantizeLinear", "DequantizeLinear", "Cast"}
"""Operators between a convolution and its activation that only convert numbers."""
PIXELS = 4
"""Number of pixels that are packed into one position."""
TAPS = ((0, 0, 0, 3), (0, 1, 1, 0), (0, 2, 1, 1), (1, 0, 1, 1), (1, 1, 1, 2), (1, 2, 1, 3))
"""Output, kernel column, position (0: the one to the left) and pixel of each product."""
Kernel = NDArray[np.float32]
Weights = dict[str, tuple[Kernel, Kernel]]
"""Weight and bias of each convolution by the name of its module."""
Makers = Mapping[str, onnx.NodeProto]
"""The node that makes each tensor."""


def read_detector(bundle: Path) -> tuple[Weights, set[str]]:
    """Returns the weights of a bundle's detector, and the convolutions that a SiLU follows."""
    graph = onnx.load_from_string(Bundle(bundle).detector).graph
    makers, before_silu = _makers(graph), set()
    for node in (node for node in graph.node if node.op_type == "Sigmoid"):
        before = makers[node.input[0]]
        while before.op_type in CONVERSIONS:
            before = makers[before.input[0]]
        if before.op_type == "Conv":
            before_silu.add(_module_name(before.input[1], makers))
    return read_weights(graph), before_silu


def read_weights(graph: onnx.GraphProto) -> Weights:
    """Returns the weights of all convolutions with a bias, as float32 and for RGB input."""
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    makers = _makers(graph)
    weights = {
        _module_name(node.input[1], makers): (
            _as_float(node.input[1], constants, makers),
            _as_float(node.input[2], constants, makers),
        )
        for node in graph.node
        if node.op_type == "Conv" and len(node.input) > 2  # the one without a bias sums up the DFL
    }
    if FIRST in weights and graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8:
        kernel, bias = weights[FIRST]
        if kernel.shape[1] != COLOURS:
            kernel, bias = unpack(kernel), bias[: len(bias) // 2]
        weights[FIRST] = np.ascontiguousarray(kernel[:, ::-1]), bias
    return weights


def _makers(graph: onnx.GraphProto) -> Makers:
    return {output: node for node in graph.node for output in node.output}


def _module_name(tensor: str, makers: Makers) -> str:
    while tensor in makers:
        tensor = makers[tensor].input[0]
    return tensor.removeprefix("model.").partition(".weight")[0]


def _as_float(
    tensor: str, constants: Mapping[str, NDArray[Any]], makers: Makers
) -> NDArray[np.float32]:
    """Returns a constant, widened from float16 or scaled back from INT8."""
    if tensor in constants:
        return constants[tensor].astype(np.float32)
    maker = makers[tensor]
    if maker.op_type == "Cast":
        return _as_float(maker.input[0], constants, makers)
    stored, scale, zero = (constants[name].astype(np.float32) for name in maker.input)
    axes = (1,) * (stored.ndim - 1)
    return np.asarray((stored - zero.reshape(-1, *axes)) * scale.reshape(-1, *axes), np.float32)


def pack(kernel: Kernel) -> Kernel:
    """Packs a kernel (O, C, 3, 3) of stride 2 and padding 1; returns shape (2 O, 4 C, 3, 2)."""
    out, colours, rows, _ = kernel.shape
    packed = np.zeros((2, out, PIXELS, colours, rows, 2), kernel.dtype)
    for output, column, position, pixel in TAPS:
        packed[output, :, pixel, :, :, position] = kernel[..., column]
    return packed.reshape(2 * out, PIXELS * colours, rows, 2)


def unpack(packed: Kernel) -> Kernel:
    """Returns the kernel that `pack` packed."""
    out, channels, rows, _ = packed.shape
    first = packed[: out // 2].reshape(out // 2, PIXELS, channels // PIXELS, rows, 2)
    return np.stack([first[:, pixel, :, :, side] for _, _, side, pixel in TAPS[:3]], axis=-1)
