"""Stores weights as float16: half the bytes to ship."""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from train.reader.reader_weights import HALF

MIN_VALUES = 1024
"""Minimum number of values of a tensor to store as float16."""


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
