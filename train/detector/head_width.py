"""Replaces the score branches of a YOLOv8 head by narrower ones.

The score branches of YOLOv8n have 80 channels and SiLU, since COCO has 80 classes: a fifth of the
time of an INT8 detector. 32 channels with ReLU are enough for one class.
"""

from typing import Any

from torch import nn
from ultralytics.nn.modules.conv import Conv


def set_score_width(head: Any, width: int) -> None:
    """Gives a YOLOv8 head new, untrained score branches, unless they have this width."""
    if head.cv3[0][-1].in_channels == width:
        return
    for number, before in enumerate(head.cv3):
        channels, last = before[0].conv.in_channels, before[-1]
        branch = nn.Sequential(
            Conv(channels, width, 3), Conv(width, width, 3), nn.Conv2d(width, last.out_channels, 1)
        )
        for block in branch[:2]:
            block.act = nn.ReLU()
        branch[-1].bias.data.copy_(last.bias.data)
        head.cv3[number] = branch


def has_plain_branches(head: Any) -> bool:
    """Whether a head has the score branches of YOLOv8, which can be replaced."""
    first = next(iter(getattr(head, "cv3", [])), [None])[0]
    return isinstance(first, Conv) and not hasattr(head, "one2one_cv3")
