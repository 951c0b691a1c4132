"""A YOLO network with the outputs that the device expects."""

from typing import Any

import torch
from torch import Tensor, nn
from ultralytics.nn.modules.head import Detect
from ultralytics.utils.tal import make_anchors

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
