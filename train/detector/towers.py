"""Score towers of another width.

YOLOv8n's have 80 channels with SiLU, as COCO has 80 classes: a fifth of the time of a detector in 8
bits. For one class fewer do, with ReLU.
"""

from typing import Any

from torch import nn
from ultralytics.nn.modules.conv import Conv


def score_towers(head: Any, width: int) -> nn.ModuleList:
    """Untrained ones for the maps that YOLOv8's head gets, of one class."""
    towers = nn.ModuleList()
    for before in head.cv3:
        channels = before[0].conv.in_channels
        tower = nn.Sequential(
            Conv(channels, width, 3), Conv(width, width, 3), nn.Conv2d(width, 1, 1)
        )
        for block in tower[:2]:
            block.act = nn.ReLU()
        tower[2].bias.data.copy_(before[2].bias.data[:1])
        towers.append(tower)
    return towers


def have_towers(head: Any) -> bool:
    """Whether a head is that of YOLOv8, whose towers can be replaced."""
    known = isinstance(next(iter(getattr(head, "cv3", [])), [None])[0], Conv)
    return known and not hasattr(head, "one2one_cv3")
