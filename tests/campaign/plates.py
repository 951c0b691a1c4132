"""Vehicles that cost little to draw and to recognise, and the networks that recognise them.

A vehicle is a magenta box. Its plate shows each character as a code of two by three black or white
fields. The detector network returns the centre of what is magenta, and the reader network compares
the fields with all codes. So the service needs few milliseconds a frame, and the oracle knows that
a vehicle without an event was lost and not misread.
"""

import itertools
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.support.bundles import CHARSET, write_bundle

WIDTH, HEIGHT = 480, 192
"""Size of the camera's image, pixels."""
BODY, PLATE = (160, 96), (120, 36)
"""Width and height of a vehicle and of its plate, pixels."""
SYMBOLS = "ACDEFHJKLMNPTXR34679"
"""The characters of the plates: none is confusable."""
CODES = [code for code in itertools.product((0, 1), repeat=6) if sum(code) == 3]
"""The code of each symbol, in rows of two fields; all are equally bright."""
MAGENTA, ROAD = (255, 0, 255), 96
TOP = HEIGHT // 2 - BODY[1] // 2
WHOLE = (BODY[0] / (WIDTH + BODY[0]), WIDTH / (WIDTH + BODY[0]))
"""Positions between which the whole vehicle is in the image."""
GAIN = 60
"""Factor of the difference between fields and code: the right character gets nearly 1."""
SCALE = 2
"""The detector's input is smaller than the image by this factor."""


def draw(plate: str | None, position: float) -> np.ndarray:
    """Returns the image (BGR) with a vehicle that has come so far (0-1)."""
    image = np.full((HEIGHT, WIDTH, 3), ROAD, np.uint8)
    image[::16] = 80  # a texture
    if plate is None:
        return image
    body = np.full((BODY[1], BODY[0], 3), MAGENTA, np.uint8)
    fields = np.hstack([np.reshape(CODES[SYMBOLS.index(c)], (3, 2)) for c in plate])
    pixels = np.kron(fields, np.full((12, 10), 255))[:, :, None]
    x, y = (BODY[0] - PLATE[0]) // 2, (BODY[1] - PLATE[1]) // 2
    body[y : y + PLATE[1], x : x + PLATE[0]] = pixels
    left = round(position * (WIDTH + BODY[0])) - BODY[0]
    first, last = max(0, left), min(WIDTH, left + BODY[0])
    image[TOP : TOP + BODY[1], first:last] = body[:, first - left : last - left]
    return image


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


def write_networks(folder: Path) -> Path:
    """Writes the bundle of the two networks."""
    width, height = WIDTH // SCALE, HEIGHT // SCALE
    write_bundle(folder, _detector(width, height), _reader())
    file = folder / "bundle.toml"
    tiny, ours = "width = 64\nheight = 32", f"width = {width}\nheight = {height}"
    file.write_text(file.read_text().replace(tiny, ours))
    return folder


def _detector(width: int, height: int) -> bytes:
    """Returns the centre of the magenta pixels, if there are as many as a vehicle has."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    planes = np.stack([np.ones_like(x), x, y])[None]
    area = (BODY[0] * BODY[1] - PLATE[0] * PLATE[1]) / SCALE**2
    weights = {
        "colour": np.array([1.0, -1.0, 0.0]).reshape(1, 3, 1, 1),
        "bias": np.array([-0.4]),
        "planes": planes,
        "gain": np.array(1 / 0.6),
        "area": np.array([area]),
        "steep": np.array(25.0),
        "most": np.array([0.88]),
        "zero": np.array(0.0),
        "one": np.array(0.95),
        "small": np.array(1.0),
        "size": np.array([[PLATE[0] / SCALE], [PLATE[1] / SCALE]])[None],
    }
    nodes = [
        ("Conv", ["x", "colour", "bias"], "difference", {}),
        ("Relu", ["difference"], "magenta", {}),
        ("Mul", ["magenta", "gain"], "mask", {}),
        ("Mul", ["mask", "planes"], "weighted", {}),
        ("ReduceSum", ["weighted", "axes"], "sums", {"keepdims": 0}),  # (1, 3)
        ("Split", ["sums"], ["mass", "sum_x", "sum_y"], {"axis": 1, "num_outputs": 3}),
        ("Max", ["mass", "small"], "mass1", {}),
        ("Div", ["sum_x", "mass1"], "cx", {}),
        ("Div", ["sum_y", "mass1"], "cy", {}),
        ("Div", ["mass", "area"], "part", {}),
        ("Sub", ["part", "most"], "more", {}),
        ("Mul", ["more", "steep"], "raw", {}),
        ("Clip", ["raw", "zero", "one"], "score", {}),
        ("Concat", ["cx", "cy"], "centre", {"axis": 1}),
        ("Unsqueeze", ["centre", "last"], "centre3", {}),
        ("Unsqueeze", ["score", "last"], "score3", {}),
        ("Concat", ["centre3", "size", "score3"], "y", {"axis": 1}),  # (1, 5, 1)
    ]
    integers = {"axes": np.array([2, 3]), "last": np.array([2])}
    return _network([1, 3, height, width], [1, 5, None], nodes, weights | integers)


def _reader() -> bytes:
    """Returns the probabilities (N, 6, blank and characters) of the six characters."""
    kernels = np.zeros((1 + len(CHARSET), 1, 16, 8))
    bias = np.full(1 + len(CHARSET), -20.0)
    rows = np.minimum(np.arange(16) * 3 // 16, 2)
    for symbol, code in zip(SYMBOLS, CODES, strict=True):
        fields = np.reshape(code, (3, 2))[rows][:, np.arange(8) // 4]
        index = 1 + CHARSET.index(symbol)
        kernels[index, 0] = (2 * fields - 1) * GAIN / 128 / 127.5
        bias[index] = 0.0
    nodes = [
        ("Conv", ["x", "kernels", "bias"], "maps", {"strides": [1, 8]}),  # (N, 37, 1, 6)
        ("Squeeze", ["maps", "axis"], "logits", {}),
        ("Transpose", ["logits"], "steps", {"perm": [0, 2, 1]}),
        ("Softmax", ["steps"], "y", {"axis": 2}),
    ]
    constants = {"kernels": kernels, "bias": bias, "axis": np.array([2])}
    return _network(["n", 1, 16, 48], ["n", 6, 1 + len(CHARSET)], nodes, constants)


def _network(shape: list, answer: list, nodes: list, constants: dict[str, np.ndarray]) -> bytes:
    floats = {k: v.astype(np.float32) for k, v in constants.items() if v.dtype.kind == "f"}
    graph = helper.make_graph(
        [
            helper.make_node(kind, ins, outs if isinstance(outs, list) else [outs], **options)
            for kind, ins, outs, options in nodes
        ],
        "plates",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, answer)],
        [numpy_helper.from_array(value, name) for name, value in (constants | floats).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()
