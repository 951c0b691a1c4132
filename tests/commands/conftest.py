"""Fixtures of the commands."""

from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "car.png"
    cv2.imwrite(str(path), np.full((320, 640, 3), 90, np.uint8))
    return path
