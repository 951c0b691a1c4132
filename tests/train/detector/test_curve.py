import json
from dataclasses import replace

import pytest
from ultralytics import YOLO

from train.detector.curve import Curve, run_curve
from train.train_error import TrainError

pytestmark = pytest.mark.filterwarnings("ignore")


def test_curve_runs_each_point_once_and_draws_the_same_file(data, tmp_path):
    YOLO("yolov8n.yaml", verbose=False).save(tmp_path / "base.pt")
    curve = Curve(
        data=(str(data),),
        base=str(tmp_path / "base.pt"),
        out=str(tmp_path / "curve"),
        sizes=(4, 400),
        seeds=(0,),
        steps=2,
        imgsz=64,
        batch=4,
    )
    drawn = run_curve(curve)
    first = drawn.read_bytes()
    points = json.loads((tmp_path / "curve" / "curve.json").read_text())["points"]
    everything = points[-1]["images"]
    assert 4 < everything < 14, "the validation part is never trained on"
    assert [(p["images"], p["start"], p["epochs"]) for p in points] == [
        (4, "fine-tuned", 2),
        (4, "from scratch", 2),
        (everything, "fine-tuned", 1),
        (everything, "from scratch", 1),
    ]
    records = sorted((tmp_path / "curve").glob("*/run.json"))
    written = [record.stat().st_mtime_ns for record in records]
    assert len(written) == 4
    assert run_curve(curve).read_bytes() == first
    assert [record.stat().st_mtime_ns for record in records] == written
    with pytest.raises(TrainError, match=r"a run with other epochs; choose another --out"):
        run_curve(replace(curve, steps=4))
    with pytest.raises(TrainError, match=r"--scratch yolo11n.yaml: is not the network of"):
        run_curve(replace(curve, scratch="yolo11n.yaml"))
    YOLO("yolov8n.yaml", verbose=False).save(tmp_path / "base.pt")
    with pytest.raises(TrainError, match=r"a run with other base_sha256; choose another"):
        run_curve(curve)
    with pytest.raises(TrainError, match=r"--out /proc/curve: No such file"):
        run_curve(replace(curve, out="/proc/curve"))
