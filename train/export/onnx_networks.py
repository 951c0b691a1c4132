"""Writes a detector or a reader as ONNX and checks it against torch.

For the tools of NPUs, it writes a detector without its decode tail, as the model zoos of Rockchip
and Hailo document: the outputs are the last convolutions of the head, for Rockchip with the sigmoid
of the scores.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from ultralytics.nn.modules.block import C2f

from plateid.models.onnx_backend import OnnxBackend
from plateid.models.onnx_detector import to_detector_input
from plateid.models.onnx_reader import to_reader_input
from plateid.models.session import CPU
from train.dataset.grouping import Split
from train.export.best_candidates import BestCandidates
from train.export.int8_detector import quantise_detector
from train.export.int8_layout import Int8Candidates
from train.export.int8_reader import TwoSides, quantise_reader
from train.export.quantise import store_as_float16
from train.export.torch_parity import Array, check_candidates, check_equal, demo_frame, infer
from train.reader.platenet import PlateNet
from train.reader.reader_weights import SPEC, ExportedReader
from train.train_error import TrainError

Precision = Literal["float32", "float16", "int8"]
TOLERANCE, TOLERANCE_FLOAT16 = 1e-3, 1e-2
"""Largest difference of a score or probability between torch and ONNX Runtime."""
BOX_TOLERANCE_PX, BOX_TOLERANCE_FLOAT16_PX = 0.5, 2.0
"""Largest difference of a corner, pixels."""
STRIPS = 8
"""Number of pieces of an image that a reader is checked with."""


@dataclass(frozen=True)
class OnnxFormat:
    """How to write a detector: the size of its input in pixels, and the precision.

    "float16" is for weights only, with inference in float32; "int8" for weights and activations.
    """

    width: int
    height: int
    precision: Precision = "float16"


def export_detector(model: Any, out: Path, form: OnnxFormat, images: Split | None = None) -> None:
    """Writes a detector with a fixed input size.

    `images` are for "int8". Raises TrainError if ONNX Runtime differs from torch, or INT8 costs
    accuracy.
    """
    head = model.model[-1]
    stride = int(head.stride.max())
    if form.width % stride or form.height % stride:
        raise TrainError(f"--size {form.width}x{form.height}: both must be multiples of {stride}")
    size = {"width": form.width, "height": form.height}
    image = demo_frame(**size)
    expected = export_checked(BestCandidates(model, **size), to_detector_input(image), out)
    if form.precision == "float16":
        store_as_float16(out)
        got, box = infer(out, to_detector_input(image)), BOX_TOLERANCE_FLOAT16_PX
        check_candidates(out, got, expected, box=box, score=TOLERANCE_FLOAT16)
    elif form.precision == "int8":
        assert images is not None, "INT8 is calibrated with images"
        pixels = image[None].astype(np.float32) / np.float32(255)
        exact = out.rename(out.with_suffix(".float.onnx"))
        export_checked(Int8Candidates(model, **size), pixels, out)
        prefix = f"/model/model.{head.i}/"
        quantise_detector(out, exact, images, size=(form.width, form.height), head=prefix)
        exact.unlink()


def export_reader(
    reader: PlateNet, out: Path, *, precision: Precision, plates: TwoSides = ((), ())
) -> None:
    """Writes a reader for batches of any size.

    `plates` are for "int8". Raises TrainError if ONNX Runtime differs from torch, or INT8 costs
    accuracy.
    """
    network = ExportedReader(reader).eval()
    strips = np.split(demo_frame(SPEC.width, STRIPS * SPEC.height), STRIPS)
    inputs = np.stack([to_reader_input(strip, SPEC) for strip in strips])
    names = ["crops", "probabilities"]
    torch.backends.mha.set_fastpath_enabled(False)  # the exporter does not support it
    with torch.inference_mode():
        expected = network(torch.from_numpy(inputs)).numpy()
        torch.onnx.export(
            network, (torch.from_numpy(inputs[:2]),), str(out), opset_version=17, dynamo=False,
            input_names=names[:1], output_names=names[1:],
            dynamic_axes={name: {0: "batch"} for name in names},
            # keep weights separate and named, so that training can go on from the file
            training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
        )  # fmt: skip
    _drop_comments(out)
    check_equal(out, infer(out, inputs), expected, tolerance=TOLERANCE)
    if precision == "float16":
        store_as_float16(out)
        check_equal(out, infer(out, inputs), expected, tolerance=TOLERANCE_FLOAT16)
    elif precision == "int8":
        quantise_reader(out, plates)


def export_checked(network: nn.Module, inputs: Array, out: Path) -> Array:
    """Writes a detector, checks it and returns torch's output."""
    images: Tensor = torch.from_numpy(inputs)
    with torch.inference_mode():
        expected: Array = network.eval()(images).numpy()
    torch.onnx.export(network, (images,), str(out), opset_version=17, dynamo=False)
    _drop_comments(out)
    check_candidates(out, infer(out, inputs), expected, box=BOX_TOLERANCE_PX, score=TOLERANCE)
    return expected


def _drop_comments(path: Path) -> None:
    """Removes the exporter's notes, so that the same weights give the same file."""
    model = onnx.load(path)
    del model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
    onnx.save(model, path)


class RawHead(nn.Module):
    """A one-class YOLO detector that returns boxes and scores of each stride as they are."""

    def __init__(self, model: Any, *, sigmoid: bool) -> None:
        super().__init__()
        self.model, self.sigmoid = model, sigmoid
        for layer in model.modules():
            if isinstance(layer, C2f):
                layer.forward = layer.forward_split  # chunk() makes shapes that are not constant

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Takes RGB images (1, 3, H, W) from 0 to 1.

        Returns for each stride the distances (1, 4 * bins, h, w) and score logits (1, 1, h, w).
        """
        head = self.model.model[-1]
        head.training = True  # else it decodes
        raw = self.model(images)
        maps: list[Tensor] = []
        for n, features in enumerate(raw.get("one2many", raw)["feats"]):
            scores = head.cv3[n](features)
            maps += [head.cv2[n](features), scores.sigmoid() if self.sigmoid else scores]
        return tuple(maps)


def export_raw_head(model: Any, out: Path, maker: str, *, width: int, height: int) -> None:
    """Writes the file; raises TrainError if ONNX Runtime's outputs differ from torch's."""
    network = RawHead(model, sigmoid=maker == "rknn").eval()
    images = torch.from_numpy(np.random.default_rng(0).random((1, 3, height, width), np.float32))
    with torch.inference_mode():
        expected = network(images)
    names = [f"{kind}{n}" for n in range(len(expected) // 2) for kind in ("boxes", "scores")]
    torch.onnx.export(
        network, (images,), data := io.BytesIO(), opset_version=17, dynamo=False,
        input_names=["images"], output_names=names,
    )  # fmt: skip
    got = OnnxBackend(str(out), data.getvalue(), CPU).run(images.numpy())
    for one, other in zip(got, expected, strict=True):
        check_equal(out, one, other.numpy(), tolerance=TOLERANCE)
    out.write_bytes(data.getvalue())
