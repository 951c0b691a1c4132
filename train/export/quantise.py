"""Smaller weights: float16, or INT8 by static quantisation (QDQ), calibrated on real inputs."""

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from train.reader.reader_weights import HALF

Array = NDArray[np.float32]
MIN_VALUES = 1024
"""Minimum number of values of a tensor to store as float16."""
PIXELS = {"scale": np.array(1 / 255, np.float32), "zero_point": np.array(0, np.uint8)}
"""Quantisation of pixels from 0 to 1: gives the bytes that they were."""


@dataclass(frozen=True)
class Plan:
    """Operator types to quantise, and a function that names the nodes to leave in float.

    `of_pixels`: the first convolution takes pixels from 0 to 1.
    """

    operators: tuple[str, ...]
    in_float: Callable[[onnx.GraphProto], Iterable[str]]
    of_pixels: bool = False


class _Inputs(CalibrationDataReader):
    def __init__(self, name: str, inputs: Iterator[Array]) -> None:
        self._batches = ({name: batch} for batch in inputs)

    def get_next(self) -> dict[str, Array] | None:
        return next(self._batches, None)


def quantise(path: Path, out: Path, inputs: Iterator[Array], plan: Plan) -> None:
    """Writes a network with INT8 weights and activations, calibrated with the inputs.

    Weights have one scale per channel and use 7 bits: processors without VNNI add two products of
    8 bits in 16 bits and overflow. Each activation gets the range that it shows on the inputs.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(path, prepared, skip_symbolic_shape=True)
        graph = onnx.load(prepared).graph
        first = next(node for node in graph.node if node.op_type == "Conv").input[0]
        overrides = {first: [PIXELS]} if plan.of_pixels else {}
        logging.disable(logging.WARNING)  # it recommends the step above
        try:
            quantize_static(
                prepared,
                out,
                _Inputs(graph.input[0].name, inputs),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(plan.operators),
                nodes_to_exclude=list(plan.in_float(graph)),
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                extra_options={"TensorQuantOverrides": overrides},
            )
        finally:
            logging.disable(logging.NOTSET)


def store_as_float16(path: Path) -> None:
    """Stores a network's large weights as float16.

    A Cast widens each one; ONNX Runtime applies it once, when it loads the file, so that inference
    computes in float32 as before.
    """
    model = onnx.load(path)
    for weights in [w for w in model.graph.initializer if w.data_type == onnx.TensorProto.FLOAT]:
        values = numpy_helper.to_array(weights)
        if values.size >= MIN_VALUES:
            name, to = f"{weights.name}{HALF}", onnx.TensorProto.FLOAT
            model.graph.node.insert(0, onnx.helper.make_node("Cast", [name], [weights.name], to=to))
            weights.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name))
    onnx.save(model, path)
