from pathlib import Path

import pytest
import torch
from ultralytics import YOLO

RELU = str(Path(__file__).parents[3] / "train" / "detector" / "yolov8n-relu.yaml")


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Untrained weights with high scores."""
    torch.manual_seed(0)
    model = YOLO(RELU, verbose=False)
    for branch in model.model.model[-1].cv3:
        torch.nn.init.constant_(branch[-1].bias, 1.0)
    path = tmp_path_factory.mktemp("weights") / "detector.pt"
    model.save(path)
    return path
