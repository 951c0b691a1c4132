"""Lays a detector out for ONNX Runtime's INT8 kernels; its outputs stay the same.

Quantised values lie in memory with the channels last: transpositions and reshapes move nothing.
The detector of `default` at 768 x 448, INT8, one thread, medians of 60 interleaved runs:
12.34 ms as ultralytics exports it, 11.83 with bytes as input, 10.36 with packed pixels as well,
9.71 with copies in place of Resize as well.
"""

import copy
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from train.detector.onnx_weights import PIXELS, pack
from train.export.best_candidates import BestCandidates

COLOURS = 3
PACKABLE = {"in_channels": COLOURS, "kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1)}
"""Attributes of a first convolution that can take packed pixels."""
UPSAMPLE = ("nearest", 2)
"""Mode and factor of an Upsample that copies can replace."""


class Int8Candidates(BestCandidates):
    """`BestCandidates` that takes BGR (1, H, W, 3) from 0 to 1; the model is copied."""

    def __init__(self, model: nn.Module, *, width: int, height: int) -> None:
        """Takes a fused detection model of one class in evaluation mode."""
        super().__init__(copy.deepcopy(model), width=width, height=height)
        first: Any = self.model.model[0]
        first.conv.weight.data = first.conv.weight.data.flip(1)
        self._is_packed = {name: getattr(first.conv, name) for name in PACKABLE} == PACKABLE
        if self._is_packed:
            _pack(first)
        layers: Any = self.model.modules()
        for layer in layers:
            if isinstance(layer, nn.Upsample) and (layer.mode, layer.scale_factor) == UPSAMPLE:
                layer.forward = _Doubled.apply

    def forward(self, images: Tensor) -> Tensor:
        """Finds plates."""
        if self._is_packed:
            images = _Reshape.apply(images, (0, 0, -1, PIXELS * COLOURS))
        return super().forward(images.permute(0, 3, 1, 2))


def take_bytes(path: Path) -> None:
    """Makes the input of a quantised file bytes: removes the step that makes bytes of floats."""
    model = onnx.load(path)
    graph = model.graph
    step = next(node for node in graph.node if node.op_type == "QuantizeLinear")
    for node in graph.node:
        node.input[:] = [step.input[0] if name in step.output else name for name in node.input]
    graph.node.remove(step)
    graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    del graph.value_info[:]
    onnx.save(model, path)


def _pack(first: Any) -> None:
    """Makes a block of convolution and activation take packed pixels."""
    conv, channels = first.conv, first.conv.out_channels
    conv.weight.data = torch.from_numpy(pack(conv.weight.data.numpy()))
    conv.bias.data = conv.bias.data.tile(2)

    def forward(packed: Tensor) -> Tensor:
        pairs = first.act(_PackedConv.apply(packed, conv.weight, conv.bias)).permute(0, 2, 3, 1)
        apart: Tensor = _Reshape.apply(pairs, (0, 0, -1, channels))
        return apart.permute(0, 3, 1, 2)

    first.forward = forward


class _PackedConv(torch.autograd.Function):
    """A convolution that pads above and to the left only, which torch's own cannot."""

    @staticmethod
    def forward(_: Any, packed: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return functional.conv2d(functional.pad(packed, (1, 0, 1, 0)), weight, bias, stride=(2, 1))

    @staticmethod
    def symbolic(graph: Any, *inputs: Any) -> Any:
        form = {"kernel_shape_i": [3, 2], "strides_i": [2, 1], "pads_i": [1, 1, 0, 0]}
        return graph.op("Conv", *inputs, **form)


class _Reshape(torch.autograd.Function):
    """ONNX's Reshape: 0 keeps an axis, so that the file can be resized."""

    @staticmethod
    def forward(_: Any, values: Tensor, shape: tuple[int, ...]) -> Tensor:
        return values.reshape([n or values.shape[axis] for axis, n in enumerate(shape)])

    @staticmethod
    def symbolic(graph: Any, values: Any, shape: tuple[int, ...]) -> Any:
        return graph.op("Reshape", values, graph.op("Constant", value_t=torch.tensor(shape)))


class _Doubled(torch.autograd.Function):
    """An Upsample by 2 that copies columns, then rows: Resize goes value by value."""

    @staticmethod
    def forward(_: Any, maps: Tensor) -> Tensor:
        return functional.interpolate(maps, scale_factor=2.0, mode="nearest")

    @staticmethod
    def symbolic(graph: Any, maps: Any) -> Any:
        last = graph.op("Transpose", maps, perm_i=[0, 2, 3, 1])
        pairs = graph.op("Concat", last, last, axis_i=3)
        wide = _Reshape.symbolic(graph, pairs, (0, 0, -1, maps.type().sizes()[1]))
        rows = _Reshape.symbolic(graph, wide, (-1, 1, 0, 0))
        pairs = graph.op("Concat", rows, rows, axis_i=1)
        tall = _Reshape.symbolic(graph, pairs, (1, -1, 0, 0))
        return graph.op("Transpose", tall, perm_i=[0, 3, 1, 2])
