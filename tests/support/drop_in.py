"""Small networks in the form of fast-plate-ocr, ultralytics and open-image-models."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_"
SLOTS = 6
CONFIG = {
    "max_plate_slots": SLOTS,
    "alphabet": f"'{ALPHABET}'",
    "pad_char": "'_'",
    "img_height": 16,
    "img_width": 32,
    "image_color_mode": "rgb",
}
"""A small `*_config.yaml`, key by key."""


def write_config(path: Path, **changes: object) -> Path:
    """Writes a configuration of fast-plate-ocr; None leaves a key out."""
    lines = [f"{key}: {value}" for key, value in (CONFIG | changes).items() if value is not None]
    path.write_text("\n".join(lines))
    return path


def slot_network(
    *,
    channels: int = 3,
    outputs: Sequence[str] = ("plate",),
    scale: float = 0.02,
    flat: bool = False,
) -> bytes:
    """Returns a reader with random weights, whose answer depends on the crop.

    It has fast-plate-ocr's input; `outputs` are "plate" and "region" in any order.
    """
    rng, columns = np.random.default_rng(1), len(ALPHABET)
    weights = {
        "weights": rng.normal(0, scale, (8 * channels, SLOTS * columns)).astype(np.float32),
        "slots": np.array([-1, SLOTS, columns], np.int64),
        "flat": np.array([-1, SLOTS * columns], np.int64),
        "regions": rng.normal(0, scale, (8 * channels, 3)).astype(np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["input"], ["float"], to=TensorProto.FLOAT),
        node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        node("AveragePool", ["planes"], ["pooled"], kernel_shape=[8, 8], strides=[8, 8]),
        node("Flatten", ["pooled"], ["features"]),
        node("MatMul", ["features", "weights"], ["logits"]),
        node("Reshape", ["logits", "slots"], ["by_slot"]),
        node("Softmax", ["by_slot"], ["softmax"], axis=-1),
        node("Reshape", ["softmax", "flat" if flat else "slots"], ["plate"]),
        node("MatMul", ["features", "regions"], ["region_logits"]),
        node("Softmax", ["region_logits"], ["region"], axis=-1),
    ]
    shapes = {
        "plate": ["n", SLOTS * columns] if flat else ["n", SLOTS, columns],
        "region": ["n", 3],
    }
    graph = helper.make_graph(
        nodes,
        "slots",
        [helper.make_tensor_value_info("input", TensorProto.UINT8, ["n", 16, 32, channels])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return _saved(graph, {})


def yolo_network(
    answer: np.ndarray,
    metadata: Mapping[str, object] | None = None,
    *,
    shape: Sequence[int | str] = (1, 3, 64, 64),
    dtype: int = TensorProto.FLOAT,
    declared: Sequence[int | str] | None = None,
) -> bytes:
    """Returns a detector that always gives `answer`; `declared` is the shape that it states."""
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["float"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "nothing"], ["zero"]),
        helper.make_node("Add", ["zero", "answer"], ["output0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "yolo",
        [helper.make_tensor_value_info("images", dtype, list(shape))],
        [
            helper.make_tensor_value_info(
                "output0", TensorProto.FLOAT, list(declared or answer.shape)
            )
        ],
        [
            numpy_helper.from_array(np.zeros((), np.float32), "nothing"),
            numpy_helper.from_array(answer.astype(np.float32), "answer"),
        ],
    )
    return _saved(graph, metadata or {})


def _saved(graph: onnx.GraphProto, metadata: Mapping[str, object]) -> bytes:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {key: str(value) for key, value in metadata.items()})
    onnx.checker.check_model(model)
    return model.SerializeToString()


def write_slot_reader(folder: Path) -> Path:
    """Writes a reader of fast-plate-ocr with its configuration; returns its path."""
    path = folder / "other.onnx"
    path.write_bytes(slot_network())
    write_config(folder / "other_plate_config.yaml")
    return path
