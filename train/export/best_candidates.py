"""A YOLO network as the device wants it: one class, a fixed input, only its best candidates out."""

from typing import Any

import torch
from torch import Tensor, nn
from ultralytics.nn.modules.head import Detect
from ultralytics.utils.tal import make_anchors

COUNT = 300


class BestCandidates(nn.Module):
    """RGB (1, 3, H, W), 0 to 1, to the COUNT best (1, 5, COUNT): cx, cy, w, h in pixels, and score.

    Boxes are decoded for the best only: decoding all of them costs 15 % of the quantised network.
    """

    anchors: Tensor
    strides: Tensor

    def __init__(self, model: nn.Module, *, width: int, height: int) -> None:
        """Takes a fused detection model of one class in evaluation mode."""
        super().__init__()
        self.model = model
        self.head: Detect = model.model[-1]
        feats = self._raw(torch.zeros(1, 3, height, width))["feats"]
        anchors, strides = make_anchors(feats, self.head.stride, 0.5)
        self.register_buffer("anchors", anchors.T[None])
        self.register_buffer("strides", strides.T[None])

    def _raw(self, images: Tensor) -> dict[str, Any]:
        self.head.training = True  # for its raw answers: boxes as distributions, scores as logits
        raw: dict[str, Any] = self.model(images)
        answer: dict[str, Any] = raw.get("one2many", raw)
        return answer

    def forward(self, images: Tensor) -> Tensor:
        """Finds plates."""
        raw = self._raw(images)
        scores = raw["scores"].sigmoid()  # (1, 1, N)
        best = scores.topk(min(COUNT, scores.shape[2]), dim=2).indices  # (1, 1, COUNT)
        sides = raw["boxes"]  # (1, 4 * bins, N)
        sides = self.head.dfl(sides.gather(2, best.expand(-1, sides.shape[1], -1)))
        anchors = self.anchors.gather(2, best.expand(-1, 2, -1))
        strides = self.strides.gather(2, best)
        boxes = self.head.decode_bboxes(sides, anchors) * strides
        return torch.cat([boxes, scores.gather(2, best)], dim=1)
