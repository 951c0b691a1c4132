"""A detector's convolutions in 8-bit integers: static QDQ, calibrated on pictures with plates."""

import logging
import tempfile
from collections.abc import Iterator
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
OPERATORS = ["Conv", "MaxPool", "Concat", "Add", "Resize", "Split"]


class _Inputs(CalibrationDataReader):  # type: ignore[misc] - onnxruntime is untyped
    def __init__(self, name: str, inputs: Iterator[Array]) -> None:
        self._name, self._inputs = name, inputs

    def get_next(self) -> dict[str, Array] | None:
        batch = next(self._inputs, None)
        return None if batch is None else {self._name: batch}


def quantise(path: Path, out: Path, inputs: Iterator[Array], *, head: str) -> None:
    """Writes `path` with weights and activations in 8 bits.

    Weights have a scale for each channel and use 7 bits: processors without VNNI instructions add
    two products of 8 bits in 16 and overflow.

    Args:
        path: A network in float32.
        out: The file to write.
        inputs: What the network is shown for the ranges of its activations.
        head: Prefix of the names of the head's nodes; its last convolutions and what decodes their
            answers stay in float32.
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
                op_types_to_quantize=OPERATORS,
                nodes_to_exclude=[n.name for n in graph.node if sensitive(n.name, head=head)],
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )
        finally:
            logging.disable(logging.NOTSET)


def sensitive(node: str, *, head: str) -> bool:
    """Whether a node of the head gives an answer or decodes it, by its name in ultralytics' graph.

    `cv2` and `cv3` are the towers of boxes and scores; the last of their three steps answers.
    """
    if not node.startswith(head):
        return "/model." not in node
    tower = node.removeprefix(head).split("/")
    return not tower[0].startswith(("cv2", "cv3")) or tower[1].endswith(".2")
