"""Weights in float16, which are widened when a network is loaded."""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from train.reader.reader_weights import HALF

WORTH_HALVING = 1024


def store_in_half(path: Path) -> None:
    """Stores a network's large weights in float16, to be widened when it is loaded.

    Half the bytes to ship; ONNX Runtime folds the widening into the weights and computes as before.
    """
    model = onnx.load(path)
    for weights in [w for w in model.graph.initializer if w.data_type == onnx.TensorProto.FLOAT]:
        values = numpy_helper.to_array(weights)
        if values.size >= WORTH_HALVING:
            half = f"{weights.name}{HALF}"
            to_float = onnx.TensorProto.FLOAT
            widen = onnx.helper.make_node("Cast", [half], [weights.name], to=to_float)
            model.graph.node.insert(0, widen)
            weights.CopyFrom(numpy_helper.from_array(values.astype(np.float16), half))
    onnx.save(model, path)
