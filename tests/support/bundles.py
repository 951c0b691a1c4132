"""Model bundles of tiny networks, built in the test."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHARSET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def constant_network(input_shape: list, *answers: np.ndarray) -> bytes:
    """Returns an ONNX network with constant outputs, repeated for each item of the batch.

    The outputs "y0", "y1" and so on have the values of `answers`, of shape (1, ...).
    """
    batch = input_shape[0]
    weights = {
        "axes": np.array(list(range(1, len(input_shape))), np.int64),
        "nothing": np.zeros(1, np.float32),
    }
    nodes = [
        helper.make_node("ReduceSum", ["x", "axes"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "nothing"], ["zero"]),
    ]
    for n, answer in enumerate(answers):
        weights[f"answer{n}"] = answer.astype(np.float32)
        weights[f"shape{n}"] = np.array([-1, *[1] * (answer.ndim - 1)], np.int64)
        nodes += [
            helper.make_node("Reshape", ["zero", f"shape{n}"], [f"zero{n}"]),
            helper.make_node("Add", [f"zero{n}", f"answer{n}"], [f"y{n}"]),
        ]
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, input_shape)],
        [
            helper.make_tensor_value_info(f"y{n}", TensorProto.FLOAT, [batch, *answer.shape[1:]])
            for n, answer in enumerate(answers)
        ],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def detector_network(rows: list[tuple[float, ...]], *, width: int = 64, height: int = 32) -> bytes:
    """Returns a detector that always finds these (cx, cy, w, h, score), in input pixels."""
    answer = np.array(rows, np.float32).reshape(-1, 5).T[None]
    return constant_network([1, 3, height, width], answer)


def reader_network(path: str, *, regions: Sequence[float] = ()) -> bytes:
    """Returns a reader with this CTC path, '-' is the blank; `regions` adds a second output."""
    answer = np.full((1, len(path), 1 + len(CHARSET)), 0.001, np.float32)
    for step, character in enumerate(path):
        answer[0, step, 0 if character == "-" else 1 + CHARSET.index(character)] = 0.964
    seen = [np.array([regions], np.float32)] if regions else []
    return constant_network(["n", 1, 16, 48], answer, *seen)


BUNDLE = """
format = 1
name = "tiny"
licence = "AGPL-3.0-or-later"
training_data = []

[detector]
file = "detector.onnx"
sha256 = "{detector}"
name = "tiny-detector"
width = 64
height = 32
threshold = 0.3
nms_iou = 0.5

[reader]
file = "reader.onnx"
sha256 = "{reader}"
name = "tiny-reader"
width = 48
height = 16
colour = "grey"
fit = "pad"
margin_x = 0.0
margin_y = 0.0
charset = "{charset}"
"""


def write_bundle(folder: Path, detector: bytes, reader: bytes, *, of_reader: str = "") -> Path:
    """Writes a bundle with correct hashes; `of_reader` are more lines of its reader section."""
    folder.mkdir(exist_ok=True)
    for name, data in (("detector", detector), ("reader", reader)):
        (folder / f"{name}.onnx").write_bytes(data)
    hashes = {
        "detector": hashlib.sha256(detector).hexdigest(),
        "reader": hashlib.sha256(reader).hexdigest(),
    }
    (folder / "bundle.toml").write_text(BUNDLE.format(charset=CHARSET, **hashes) + of_reader)
    return folder
