"""A real, very small training."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from train.detector import DetectorRun, train_detector
from train.errors import TrainError

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    rows = ["image,x1,y1,x2,y2"]
    for number in range(14):
        picture = np.full((64, 64, 3), 90, np.uint8)
        picture[24:40, 12:52] = 230
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture)
        rows.append(f"{number}.png,12,24,52,40")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


def test_a_run_leaves_weights_and_a_record_and_is_not_repeated_by_mistake(data, tmp_path):
    out = tmp_path / "run"
    run = DetectorRun((str(data),), "yolov8n.yaml", str(out), epochs=1, imgsz=64, batch=4)
    record = train_detector(run)
    assert json.loads(json.dumps(record)) == json.loads((out / "run.json").read_text())
    assert record["pictures"]["train"] + record["pictures"]["val"] == 14
    assert "metrics/mAP50(B)" in record["metrics"]
    assert (out / "fit" / "weights" / "best.pt").is_file()
    with pytest.raises(TrainError, match="holds a finished run"):
        train_detector(run)
