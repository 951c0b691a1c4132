"""Knowledge distillation: a loss that compares a detector with teachers instead of labels.

A teacher has an output for each position of each image, so a few images teach a lot, and plates
without a label teach nothing wrong (Hinton et al., Distilling the knowledge in a neural network,
2015).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, kl_div
from ultralytics.utils.metrics import bbox_iou

from train.train_error import TrainError

BINS = 16
"""Distances, in cells, over which YOLOv8 spreads each side of a box (DFL)."""
PLATE_SCORE = 0.05
"""Minimum mean teacher score (0-1) at which the student learns the teachers' box."""
BOX_WEIGHT, SIDE_WEIGHT = 7.5, 0.5
"""Weights of the box overlap and of the divergence of the sides, relative to the score loss."""


class DistillationLoss:
    """The loss against the average output of the teachers, with the signature of ultralytics'."""

    def __init__(self, teachers: Mapping[str, Any]) -> None:
        """Freezes the teachers, ultralytics models by name; TrainError if one has another head."""
        for name, teacher in teachers.items():
            head = teacher.model[-1]
            if not has_yolov8_outputs(head) or head.nc != 1:
                raise TrainError(f"--teacher {name}: its head is not that of a one-class YOLOv8")
            teacher.float().eval().requires_grad_(requires_grad=False)
        self._teachers = [*teachers.values()]  # not a ModuleList: a loss is not part of the network

    def __call__(self, predictions: Any, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the losses of scores, boxes and sides, divided by the number of plates."""
        outputs = predictions[1] if isinstance(predictions, tuple) else predictions  # validation
        with torch.no_grad():
            wanted, sides = self._targets(batch["img"])
            plates = wanted.sum().clamp_min(1)
            where = wanted > PLATE_SCORE
            weights, sides = wanted[where], sides[where]
        scores = outputs["scores"].flatten(1).float()
        score = _entropy(scores, wanted) - _entropy(wanted.logit(eps=1e-6), wanted)
        logits = _sides(outputs["boxes"])[where]
        box = ((1 - _iou(logits.softmax(-1), sides)) * weights).sum()
        side = (
            kl_div(logits.log_softmax(-1), sides, reduction="none").sum((-1, -2)) * weights
        ).sum()
        loss = torch.stack([score, BOX_WEIGHT * box, SIDE_WEIGHT * side]) / plates
        items = dict(zip(("score_loss", "box_loss", "side_loss"), loss.detach(), strict=True))
        return loss * len(scores), items

    def _targets(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean scores (N, A), and the mean distribution of each side (N, A, 4, BINS)."""
        outputs = [teacher.to(images.device)(images.float())[1] for teacher in self._teachers]
        scores = torch.stack([each["scores"].flatten(1).float().sigmoid() for each in outputs])
        sides = torch.stack([_sides(each["boxes"]).softmax(-1) for each in outputs])
        shares = scores / scores.sum(0).clamp_min(1e-9)
        return scores.mean(0), (sides * shares[..., None, None]).sum(0)


def has_yolov8_outputs(head: Any) -> bool:
    """Whether a head gives scores and a distribution over BINS for each side, as YOLOv8's does."""
    is_detect = type(head).__name__ == "Detect" and head.reg_max == BINS
    return is_detect and not hasattr(head, "one2one_cv3")


def _sides(boxes: Tensor) -> Tensor:
    """Returns logits of the distances to the left, top, right and bottom: (N, A, 4, BINS)."""
    return boxes.float().unflatten(1, (4, BINS)).permute(0, 3, 1, 2)


def _iou(ours: Tensor, theirs: Tensor) -> Tensor:
    bins = torch.arange(BINS, dtype=ours.dtype, device=ours.device)
    boxes = (torch.cat([-far[:, :2], far[:, 2:]], 1) for far in (ours @ bins, theirs @ bins))
    return bbox_iou(*boxes, xywh=False).squeeze(-1)


def _entropy(logits: Tensor, wanted: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
