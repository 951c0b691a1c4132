"""Convolutions in 8-bit integers: static QDQ, with ranges that the network shows on real inputs."""

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

Array = NDArray[np.float32]


class _Inputs(CalibrationDataReader):  # type: ignore[misc] - onnxruntime is untyped
    def __init__(self, name: str, inputs: Iterator[Array]) -> None:
        self._name, self._inputs = name, inputs

    def get_next(self) -> dict[str, Array] | None:
        batch = next(self._inputs, None)
        return None if batch is None else {self._name: batch}


def quantise(
    path: Path,
    out: Path,
    inputs: Iterator[Array],
    *,
    operators: Sequence[str],
    in_float: Callable[[onnx.GraphProto], Iterable[str]],
) -> None:
    """Writes `path` with weights and activations in 8 bits.

    Weights have a scale for each channel and use 7 bits: processors without VNNI instructions add
    two products of 8 bits in 16 and overflow.

    Args:
        path: A network in float32.
        out: The file to write.
        inputs: What the network is shown for the ranges of its activations.
        operators: What is computed in 8 bits.
        in_float: Names of the nodes that are not, though they are such operators.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(path, prepared, skip_symbolic_shape=True)
        graph = onnx.load(prepared).graph
        logging.disable(logging.WARNING)  # it advises what was done above
        try:
            quantize_static(
                prepared,
                out,
                _Inputs(graph.input[0].name, inputs),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(operators),
                nodes_to_exclude=list(in_float(graph)),
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )
        finally:
            logging.disable(logging.NOTSET)
