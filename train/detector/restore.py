"""Restores trainable weights from the detector of a bundle.

A bundle holds convolutions with batch normalisation folded in, in float16 or INT8. They are put
back into the network together with new normalisation layers, whose statistics are measured on
images. The restored network gives the outputs of the bundle's.
"""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from ultralytics.nn.tasks import DetectionModel

from plateid.capture.images import read_image
from plateid.core.geometry import letterboxed
from plateid.models.onnx_detector import to_detector_input
from train.detector.onnx_weights import Weights, read_detector
from train.detector.yolo_weights import set_score_width
from train.train_error import TrainError

NETWORK = "yolov8n.yaml"
"""Architecture of the restored detector."""
SCORE_BRANCH = "model.22.cv3.0.0.conv"
"""A convolution that tells the width of the score branches."""
SIDE_PX = 640
"""Side of the images that the statistics are measured on."""
IMAGES = 96
"""Maximum number of those images."""


def restore_weights(bundle: Path, out: Path, images: Sequence[Path]) -> Path:
    """Writes the detector of a bundle as weights for ultralytics, and returns `out`.

    The statistics are measured on the first `IMAGES` images. Raises TrainError if the detector is
    not a YOLOv8n of one class.
    """
    weights, silu = read_detector(bundle)
    model: Any = DetectionModel(NETWORK, nc=1, verbose=False)
    model.names = {0: "plate"}
    if SCORE_BRANCH in weights:
        set_score_width(model.model[-1], len(weights[SCORE_BRANCH][0]))
    model.eval()
    for name, block in model.named_modules():
        if isinstance(getattr(block, "act", None), nn.SiLU | nn.ReLU):
            block.act = nn.SiLU() if f"{name}.conv" in silu else nn.ReLU()
    if not _fill(model, weights):
        raise TrainError(f"{bundle}: its detector is not a YOLOv8n of one class")
    _measure_statistics(model, images[:IMAGES])
    content = io.BytesIO()  # torch.save() reports a full disk as something else
    torch.save({"model": model, "train_args": {"task": "detect"}}, content)
    out.write_bytes(content.getbuffer())
    return out


def _fill(model: nn.Module, weights: Weights) -> bool:
    """Puts weights into all convolutions; returns whether they fit."""
    modules = dict(model.named_modules())
    wanted = {n: m for n, m in modules.items() if isinstance(m, nn.Conv2d) and "dfl" not in n}
    if {n: tuple(m.weight.shape) for n, m in wanted.items()} != {
        n: weight.shape for n, (weight, _) in weights.items()
    }:
        return False
    for name, convolution in wanted.items():
        weight, bias = map(torch.from_numpy, weights[name])
        convolution.weight.data = weight
        if convolution.bias is not None:
            convolution.bias.data = bias
        else:
            norm: Any = modules[name.removesuffix("conv") + "bn"]  # adds the bias, nothing else
            norm.running_mean.zero_()
            norm.running_var.fill_(1 - norm.eps)
            norm.weight.data.fill_(1)
            norm.bias.data = bias
    return True


def _measure_statistics(model: nn.Module, images: Iterable[Path]) -> None:
    """Gives each normalisation the statistics of its inputs; the outputs stay the same."""
    blocks: list[Any] = [m for m in model.modules() if hasattr(m, "bn") and hasattr(m, "conv")]
    canvas: NDArray[np.uint8] = np.empty((SIDE_PX, SIDE_PX, 3), np.uint8)
    moments: dict[Any, list[Any]] = {block.conv: [0, 0, 0] for block in blocks}

    def add(convolution: Any, _inputs: Any, output: Tensor) -> None:
        """Adds to the count, and to the sum and the sum of squares per channel."""
        values, so_far = output.double(), moments[convolution]
        so_far[0] += values.numel() // values.shape[1]
        so_far[1] = so_far[1] + values.sum((0, 2, 3))
        so_far[2] = so_far[2] + (values**2).sum((0, 2, 3))

    hooks = [convolution.register_forward_hook(add) for convolution in moments]
    with torch.no_grad():
        for path in images:
            letterboxed(read_image(path), canvas)
            model(torch.from_numpy(to_detector_input(canvas)))
    for block, hook in zip(blocks, hooks, strict=True):
        hook.remove()
        count, total, squares = moments[block.conv]
        if count:
            mean = total / count
            variance = (squares / count - mean**2).clamp_min(0)
            block.bn.running_mean.copy_(mean)
            block.bn.running_var.copy_(variance)
            block.bn.weight.data = torch.sqrt(variance + block.bn.eps).float()
            block.bn.bias.data += mean.float()
