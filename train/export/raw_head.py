"""Exports a detector without its decode tail, as the model zoos of Rockchip and Hailo document.

The outputs are the last convolutions of the head, for Rockchip with the sigmoid of the scores.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from ultralytics.nn.modules.block import C2f

from plateid.models.onnx_backend import OnnxBackend
from plateid.models.session import CPU
from train.export.onnx_networks import TOLERANCE
from train.export.torch_parity import check_equal


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
        network, (images,), str(out), opset_version=17, dynamo=False,
        input_names=["images"], output_names=names,
    )  # fmt: skip
    got = OnnxBackend(str(out), out.read_bytes(), CPU).run(images.numpy())
    for one, other in zip(got, expected, strict=True):
        check_equal(out, one, other.numpy(), tolerance=TOLERANCE)
