"""Towers of another width.

YOLOv8n's score towers have 80 channels with SiLU, as COCO has 80 classes, and its box towers 64:
much of the time of a detector in 8 bits. For one class fewer do, with ReLU.
"""

from typing import Any

from torch import nn
from ultralytics.nn.modules.conv import Conv


def renew_towers(head: Any, boxes: int, scores: int) -> None:
    """Gives YOLOv8's head, of one class, untrained towers where they are to have another width."""
    head.cv2 = _towers(head.cv2, boxes)
    head.cv3 = _towers(head.cv3, scores)


def _towers(before: nn.ModuleList, width: int) -> nn.ModuleList:
    if before[0][-1].in_channels == width:
        return before
    towers = nn.ModuleList()
    for old in before:
        channels, answers = old[0].conv.in_channels, old[-1].out_channels
        tower = nn.Sequential(
            Conv(channels, width, 3), Conv(width, width, 3), nn.Conv2d(width, answers, 1)
        )
        for block in tower[:2]:
            block.act = nn.ReLU()
        tower[-1].bias.data.copy_(old[-1].bias.data)
        towers.append(tower)
    return towers


def have_towers(head: Any) -> bool:
    """Whether a head is that of YOLOv8, whose towers can be replaced."""
    known = isinstance(next(iter(getattr(head, "cv3", [])), [None])[0], Conv)
    return known and not hasattr(head, "one2one_cv3")
