"""YOLO weights: loads them, finds the checkpoint to resume from, and narrows the score branches.

The score branches of YOLOv8n have 80 channels and SiLU, since COCO has 80 classes: a fifth of the
time of an INT8 detector. 32 channels with ReLU are enough for one class.
"""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn
from ultralytics import YOLO
from ultralytics.nn.modules.conv import Conv
from ultralytics.utils import downloads

from train.train_error import TrainError

BROKEN = (
    *(OSError, RuntimeError, TypeError, KeyError, ValueError, EOFError, AttributeError),
    *(ImportError, MemoryError, pickle.UnpicklingError, yaml.YAMLError),
)
"""What torch and ultralytics raise for a file that holds no network."""
FETCH = downloads.attempt_download_asset


def load_detector(path: str) -> YOLO:
    """Loads an ultralytics YOLO detector from weights or a yaml; TrainError if it is none."""
    downloads.attempt_download_asset = _find_or_fetch
    try:
        model = YOLO(path)
    except BROKEN as error:
        raise TrainError(f"{path}: cannot be loaded as a detector: {error}") from error
    if not isinstance(model.model, torch.nn.Module):  # an exported network, or a text file
        raise TrainError(f"{path}: cannot be loaded as a detector: neither weights nor a yaml")
    if type(model) is not YOLO or model.task != "detect":
        kind = f"a {type(model).__name__} for the task {model.task}"
        raise TrainError(f"{path}: is {kind}, not a YOLO detector")
    return model


def load_fused(path: str) -> Any:
    """Loads a detector for inference, with batch normalisation folded into the convolutions."""
    network: Any = load_detector(path).model.float().eval()
    network.model[-1].end2end = False  # fuse() would drop the head that the device needs
    return network.fuse()


def newest_checkpoint(weights: Path) -> Path | None:
    """Returns the newest complete checkpoint of a run: a kill may have cut off the last one."""
    saved = (weights / "last.pt", weights / "previous.pt")
    return next((path for path in saved if zipfile.is_zipfile(path)), None)


def is_last(path: Path, *, epochs: int) -> bool:
    """Whether a checkpoint is that of the last epoch; ultralytics writes -1 when it is done."""
    epoch: int = torch.load(path, map_location="cpu", weights_only=False)["epoch"]
    return epoch == -1 or epoch >= epochs - 1


def _find_or_fetch(file: str | Path, *args: Any, **kwargs: Any) -> str:
    """Returns the path of a file that exists as it is: ultralytics strips apostrophes from it."""
    return str(file) if Path(file).is_file() else str(FETCH(file, *args, **kwargs))


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
