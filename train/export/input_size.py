"""Changes the input size of an exported detector; its weights stay."""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from ultralytics.utils.tal import make_anchors

from train.export.best_candidates import COUNT
from train.reader.reader_weights import HALF
from train.train_error import TrainError


def resize_detector(path: Path, width: int, height: int) -> None:
    """Rewrites a detector that `export` wrote, for another input size.

    All of it are convolutions, except for the stored anchors of its candidates. Raises TrainError
    if the file is no such network, or the size is too small or no multiple of the stride.
    """
    model = onnx.load(path)
    graph = model.graph
    values = {each.name.removesuffix(HALF): each for each in graph.initializer}
    if not {"anchors", "strides"} <= values.keys():
        raise TrainError(f"{path}: not a detector of `train export`; export it from its weights")
    steps = np.unique(numpy_helper.to_array(values["strides"])).astype(int).tolist()
    if width % steps[-1] or height % steps[-1]:
        raise TrainError(f"--size {width}x{height}: both must be multiples of {steps[-1]}")
    sizes = torch.tensor([(height // step, width // step) for step in steps], dtype=torch.float32)
    anchors, strides = (each.T[None].numpy() for each in make_anchors(sizes, steps, 0.5))
    if strides.size < COUNT:
        raise TrainError(f"--size {width}x{height}: gives fewer than {COUNT} candidates")
    for name, places in (("anchors", anchors), ("strides", strides)):
        kind = numpy_helper.to_array(values[name]).dtype
        values[name].CopyFrom(numpy_helper.from_array(places.astype(kind), values[name].name))
    axes = graph.input[0].type.tensor_type.shape.dim
    rows, columns = (axes[1], axes[2]) if axes[3].dim_value == 3 else (axes[2], axes[3])
    rows.dim_value, columns.dim_value = height, width
    del graph.value_info[:]
    onnx.save(model, path)
