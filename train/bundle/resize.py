"""A detector of a bundle for another input size: its weights stay, only the places change."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from train.bundle.candidates import COUNT
from train.errors import TrainError
from train.reader.candidates import HALF


def resize_detector(path: Path, width: int, height: int) -> None:
    """Rewrites a detector that `export` wrote for an input of another size.

    It is convolutions all through, but for the places of its candidates, which are written down.

    Raises:
        TrainError: It is no such network, or the input has too few places.
    """
    model = onnx.load(path)
    graph = model.graph
    values = {each.name.removesuffix(HALF): each for each in graph.initializer}
    if not {"anchors", "strides"} <= values.keys():
        raise TrainError(f"{path}: not a detector of `train export`; export it from its weights")
    steps = np.unique(numpy_helper.to_array(values["strides"])).astype(int).tolist()
    if width % steps[-1] or height % steps[-1]:
        raise TrainError(f"--size {width}x{height}: both must be multiples of {steps[-1]}")
    anchors, strides = _places(width, height, steps)
    if len(strides) < COUNT:
        raise TrainError(f"--size {width}x{height}: fewer than {COUNT} places; must be larger")
    for name, places in (("anchors", anchors.T[None]), ("strides", strides[None, None])):
        kind = numpy_helper.to_array(values[name]).dtype
        values[name].CopyFrom(numpy_helper.from_array(places.astype(kind), values[name].name))
    axes = graph.input[0].type.tensor_type.shape.dim
    rows, columns = (axes[1], axes[2]) if axes[3].dim_value == 3 else (axes[2], axes[3])
    rows.dim_value, columns.dim_value = height, width
    del graph.value_info[:]
    onnx.save(model, path)


def _places(
    width: int, height: int, steps: Sequence[int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Middles of all cells in cells of their map, shape (N, 2), and their strides, shape (N,)."""
    anchors, strides = [], []
    for stride in steps:
        y, x = np.mgrid[: height // stride, : width // stride]
        anchors.append(np.stack([x.ravel(), y.ravel()], axis=1) + 0.5)
        strides.append(np.full(x.size, stride))
    return np.concatenate(anchors).astype(np.float32), np.concatenate(strides).astype(np.float32)
