"""A loss that asks for the answers of other detectors, in the place of labels.

Each place of each picture has one, so that much is learnt from few pictures (distillation: Hinton
et al., Distilling the knowledge in a neural network, 2015), and plates that nobody labelled teach
nothing wrong.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, kl_div
from ultralytics.utils.metrics import bbox_iou

from train.train_error import TrainError

BINS = 16
"""Distances that a side of a box may have, in cells."""
PLATE = 0.05
"""Mean score of the teachers above which their boxes are learnt."""
BOX, SIDES = 7.5, 0.5
"""Weights of the boxes' overlap and of the divergence of their sides, beside the scores' loss."""


class Answers:
    """The loss of a detector that is to answer as the mean of others, as ultralytics calls it."""

    def __init__(self, teachers: Mapping[str, Any]) -> None:
        """Takes detectors of ultralytics by their names; they stay as they are.

        Raises:
            TrainError: One has not the head of a YOLOv8 of one class.
        """
        for name, teacher in teachers.items():
            if not answers_alike(teacher.model[-1]) or teacher.model[-1].nc != 1:
                raise TrainError(f"--teacher {name}: its head is not that of a YOLOv8 of one class")
            teacher.float().eval().requires_grad_(requires_grad=False)
        self._teachers = [*teachers.values()]  # no ModuleList: a loss is no part of the network

    def __call__(self, predictions: Any, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """The scores' divergence, and that of the boxes of plates, by the plates there are."""
        said = predictions[1] if isinstance(predictions, tuple) else predictions  # in validation
        with torch.no_grad():
            wanted, sides = self._ask(batch["img"])
            plates = wanted.sum().clamp_min(1)
            where = wanted > PLATE
            weights, sides = wanted[where], sides[where]
        scores = said["scores"].flatten(1).float()
        score = _entropy(scores, wanted) - _entropy(wanted.logit(eps=1e-6), wanted)
        logits = _sides(said["boxes"])[where]
        overlap = ((1 - _iou(logits.softmax(-1), sides)) * weights).sum()
        apart = kl_div(logits.log_softmax(-1), sides, reduction="none").sum((-1, -2))
        loss = torch.stack([score, BOX * overlap, SIDES * (apart * weights).sum()]) / plates
        items = dict(zip(("score_loss", "box_loss", "side_loss"), loss.detach(), strict=True))
        return loss * len(scores), items

    def _ask(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean scores, shape (N, A), and how far each side may be, shape (N, A, 4, 16)."""
        said = [teacher.to(images.device)(images.float())[1] for teacher in self._teachers]
        scores = torch.stack([each["scores"].flatten(1).float().sigmoid() for each in said])
        sides = torch.stack([_sides(each["boxes"]).softmax(-1) for each in said])
        shares = scores / scores.sum(0).clamp_min(1e-9)
        return scores.mean(0), (sides * shares[..., None, None]).sum(0)


def answers_alike(head: Any) -> bool:
    """Whether a head says what YOLOv8's says: scores, and 16 bins for each side of a box."""
    alike = type(head).__name__ == "Detect" and head.reg_max == BINS
    return alike and not hasattr(head, "one2one_cv3")


def _sides(boxes: Tensor) -> Tensor:
    """How far left, top, right and bottom are from a place, as logits: shape (N, A, 4, 16)."""
    return boxes.float().unflatten(1, (4, BINS)).permute(0, 3, 1, 2)


def _iou(ours: Tensor, theirs: Tensor) -> Tensor:
    """Of the mean boxes of two distributions of sides."""
    bins = torch.arange(BINS, dtype=ours.dtype, device=ours.device)
    boxes = (torch.cat([-far[:, :2], far[:, 2:]], 1) for far in (ours @ bins, theirs @ bins))
    return bbox_iou(*boxes, xywh=False).squeeze(-1)


def _entropy(logits: Tensor, wanted: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
