"""A YOLO network with the outputs that the device expects, and its input size."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from ultralytics.nn.modules.head import Detect
from ultralytics.utils.tal import make_anchors

from train.reader.reader_weights import HALF
from train.train_error import TrainError

COUNT = 300
"""Number of candidates that are decoded: decoding all takes 15 % of an INT8 network's time."""


class BestCandidates(nn.Module):
    """A one-class detector with a fixed input size that returns its best candidates only."""

    anchors: Tensor
    strides: Tensor

    def __init__(self, model: nn.Module, *, width: int, height: int) -> None:
        super().__init__()
        self.model = model
        self.head: Detect = model.model[-1]
        feats = self._raw(torch.zeros(1, 3, height, width))["feats"]
        anchors, strides = make_anchors(feats, self.head.stride, 0.5)
        self.register_buffer("anchors", anchors.T[None])
        self.register_buffer("strides", strides.T[None])

    def _raw(self, images: Tensor) -> dict[str, Any]:
        """Returns boxes as distributions, and scores as logits."""
        self.head.training = True  # else it decodes all candidates
        raw: dict[str, Any] = self.model(images)
        one2many: dict[str, Any] = raw.get("one2many", raw)
        return one2many

    def forward(self, images: Tensor) -> Tensor:
        """Finds plates in RGB images, shape (1, 3, H, W), 0 to 1.

        Returns centre x, centre y, width, height in pixels, and score; shape (1, 5, COUNT).
        """
        raw = self._raw(images)
        scores = raw["scores"].sigmoid()  # (1, 1, N)
        best = scores.topk(min(COUNT, scores.shape[2]), dim=2).indices  # (1, 1, COUNT)
        sides = raw["boxes"]  # (1, 4 * bins, N)
        sides = self.head.dfl(sides.gather(2, best.expand(-1, sides.shape[1], -1)))
        anchors = self.anchors.gather(2, best.expand(-1, 2, -1))
        strides = self.strides.gather(2, best)
        boxes = self.head.decode_bboxes(sides, anchors) * strides
        return torch.cat([boxes, scores.gather(2, best)], dim=1)


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
