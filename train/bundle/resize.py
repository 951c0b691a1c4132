"""A detector of a bundle for another input size: its weights stay, only the places change."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from train.bundle.candidates import COUNT
from train.errors import TrainError
from train.reader.candidates import HALF

STRIDES = 8, 16, 32
"""Of a YOLO network's three maps, in pixels."""


def resize_detector(path: Path, width: int, height: int) -> None:
    """Rewrites a detector that `export` wrote for an input of another size.

    It is convolutions all through, but for the places of its candidates, which are written down.

    Raises:
        TrainError: It is no such network, or the input has too few places.
    """
    model = onnx.load(path)
    graph = model.graph
    anchors, strides = _places(width, height)
    if len(strides) < COUNT:
        raise TrainError(f"--size {width}x{height}: fewer than {COUNT} places; must be larger")
    wanted = {"anchors": anchors.T[None], "strides": strides[None, None]}
    for weights in graph.initializer:
        values = wanted.pop(weights.name.removesuffix(HALF), None)
        if values is not None:
            kind = numpy_helper.to_array(weights).dtype
            weights.CopyFrom(numpy_helper.from_array(values.astype(kind), weights.name))
    if wanted:
        raise TrainError(f"{path}: not a detector of `train export`; export it from its weights")
    axes = graph.input[0].type.tensor_type.shape.dim
    rows, columns = (axes[1], axes[2]) if axes[3].dim_value == 3 else (axes[2], axes[3])
    rows.dim_value, columns.dim_value = height, width
    del graph.value_info[:]
    onnx.save(model, path)


def _places(width: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Middles of all cells in cells of their map, shape (N, 2), and their strides, shape (N,)."""
    anchors, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[: height // stride, : width // stride]
        anchors.append(np.stack([x.ravel(), y.ravel()], axis=1) + 0.5)
        strides.append(np.full(x.size, stride))
    return np.concatenate(anchors).astype(np.float32), np.concatenate(strides).astype(np.float32)
