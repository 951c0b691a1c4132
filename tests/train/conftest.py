"""Tests of the trainer never use the network."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

os.environ["YOLO_OFFLINE"] = "true"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Fourteen small images, each with a light plate in another place."""
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = ["image,x1,y1,x2,y2"]
    for number in range(14):
        image = rng.integers(40, 120, (64, 64, 3)).astype(np.uint8)
        x, y = (int(v) for v in rng.integers(2, 22, 2))
        image[y : y + 16, x : x + 40] = 230
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
        rows.append(f"{number}.png,{x},{y},{x + 40},{y + 16}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder
