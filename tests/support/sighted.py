"""A bundle of tiny networks that see: bright rectangles are plates, a dark stripe is the text.

It makes streets in which each vehicle has a known plate, and takes milliseconds a frame.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.support.bundles import CHARSET, write_bundle

PLATES = ("B68SPK", "KX73LPH", "CJ04XYZ")
"""Texts by place of the dark stripe in the plate."""
FPS = 10
SIZE, PLATE = (256, 128), (48, 16)
"""Frames a second, and size of the street and of a plate, pixels."""


def _model(nodes: list, weights: dict, inputs: list, outputs: list) -> bytes:
    made = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    infos = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in each]
        for each in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "sighted", *infos, made)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _detector() -> bytes:
    """Boxes in each place of the input (64 x 32), its brightness is the score."""
    xs, ys = np.meshgrid(np.arange(53) + 6.0, np.arange(29) + 2.0)
    boxes = np.stack([xs.ravel(), ys.ravel(), np.full(xs.size, 12.0), np.full(xs.size, 4.0)])
    area = np.full((1, 3, 4, 12), 1 / 144, np.float32)
    weights = {
        "area": area,
        "gain": np.float32([4.0]),
        "least": np.float32([-0.8]),
        "low": np.float32(0.0),
        "high": np.float32(0.95),
        "shape": np.array([1, 1, -1], np.int64),
        "boxes": boxes[None].astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "area"], ["mean"]),
        helper.make_node("Mul", ["mean", "gain"], ["gained"]),
        helper.make_node("Add", ["gained", "least"], ["raised"]),
        helper.make_node("Clip", ["raised", "low", "high"], ["clipped"]),
        helper.make_node("Reshape", ["clipped", "shape"], ["score"]),
        helper.make_node("Concat", ["boxes", "score"], ["y0"], axis=1),
    ]
    return _model(nodes, weights, [("x", [1, 3, 32, 64])], [("y0", [1, 5, xs.size])])


def _reader() -> bytes:
    """The text of the stripe that is darkest compared with the whole crop."""
    steps = 2 * max(map(len, PLATES))
    paths = np.full((len(PLATES), steps, 1 + len(CHARSET)), 0.001, np.float32)
    stripes = np.full((48, len(PLATES)), 1 / 48, np.float32)
    for number, text in enumerate(PLATES):
        for step in range(steps):
            is_blank = step % 2 or step // 2 >= len(text)
            place = 0 if is_blank else 1 + CHARSET.index(text[step // 2])
            paths[number, step, place] = 0.964
        middle = round(48 * (0.2 + 0.3 * number))
        stripes[middle - 2 : middle + 3, number] -= 1 / 5
    weights = {
        "stripes": stripes,
        "gain": np.float32([60.0]),
        "paths": paths.reshape(len(PLATES), -1),
        "shape": np.array([-1, steps, 1 + len(CHARSET)], np.int64),
    }
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["columns"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["columns", "stripes"], ["dark"]),
        helper.make_node("Mul", ["dark", "gain"], ["gained"]),
        helper.make_node("Softmax", ["gained"], ["which"], axis=1),
        helper.make_node("MatMul", ["which", "paths"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["y0"]),
    ]
    output = [("y0", ["n", steps, 1 + len(CHARSET)])]
    return _model(nodes, weights, [("x", ["n", 1, 16, 48])], output)


def write_sighted_bundle(folder: Path) -> Path:
    bundle = write_bundle(folder, _detector(), _reader())
    text = (bundle / "bundle.toml").read_text()
    (bundle / "bundle.toml").write_text(text.replace("nms_iou = 0.5", "nms_iou = 0.05"))
    return bundle


@dataclass(frozen=True)
class Vehicle:
    """Appears at the left at `start_s`, moves `speed` pixels a second, and stops for `parks_s`."""

    plate: int
    start_s: float
    speed: float = 60.0
    y: int = 40
    parks_s: float = 0.0

    def x(self, at_s: float) -> float | None:
        moved_s = at_s - self.start_s
        stop_s = SIZE[0] / 2 / self.speed
        if moved_s > stop_s:
            moved_s = max(stop_s, moved_s - self.parks_s)
        x = moved_s * self.speed - PLATE[0]
        return x if moved_s >= 0 and x < SIZE[0] else None


def street_image(vehicles: list[Vehicle], at_s: float) -> np.ndarray:
    image = np.full((SIZE[1], SIZE[0], 3), 16, np.uint8)
    for each in vehicles:
        if (x := each.x(at_s)) is not None:
            plate = np.full((PLATE[1], PLATE[0]), 240, np.uint8)
            middle = round(PLATE[0] * (0.2 + 0.3 * each.plate))
            plate[:, middle - 2 : middle + 3] = 16
            left = round(x)
            seen = slice(max(0, left), min(SIZE[0], left + PLATE[0]))
            image[each.y : each.y + PLATE[1], seen] = plate[
                :, seen.start - left : seen.stop - left, None
            ]
    return image


def write_street(path: Path, vehicles: list[Vehicle], times: list[float], **options: Any) -> Path:
    """Writes a street; `options` are those of x264, and `created` of the container."""
    created = options.pop("created", None)
    x264 = {"g": str(FPS), "preset": "ultrafast", "crf": "12", "threads": "1"} | options
    with av.open(str(path), "w") as container:
        if created:
            container.metadata["creation_time"] = created
        stream = container.add_stream("libx264", rate=FPS, options=x264)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for at_s in times:
            frame = av.VideoFrame.from_ndarray(street_image(vehicles, at_s), format="bgr24")
            frame.pts, frame.time_base = round(1000 * (at_s - times[0])), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
