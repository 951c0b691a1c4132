import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ultralytics import YOLO

from train.detector.finetune import limited, train_detector
from train.detector.plate_trainer import DetectionTrainer, DetectorRun, PlateTrainer
from train.detector.yolo_weights import load_detector, newest_checkpoint
from train.machine import alone_in
from train.train_error import TrainError

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL = {"imgsz": 64, "batch": 4}
RELU = str(Path(__file__).parents[3] / "train" / "detector" / "yolov8n-relu.yaml")
PATIENCE_S = 240


def command(data: Path, out: Path, *, epochs: int) -> list[str]:
    words = ["-m", "train", "detector", "--data", data, "--base", "yolov8n.yaml", "--out", out]
    sizes = ["--imgsz", 64, "--batch", 4, "--epochs", epochs]
    return [sys.executable, *(str(word) for word in [*words, *sizes])]


def test_run_writes_weights_and_a_record_and_is_not_overwritten(data, tmp_path):
    out = tmp_path / "run"
    run = DetectorRun((str(data),), "yolov8n.yaml", str(out), epochs=1, **SMALL)
    record = train_detector(run)
    assert json.loads(json.dumps(record)) == json.loads((out / "run.json").read_text())
    assert record["images"]["train"] + record["images"]["val"] == 14
    assert "metrics/mAP50(B)" in record["metrics"]
    assert (out / "fit" / "weights" / "best.pt").is_file()
    assert torch.get_num_threads() == os.cpu_count(), "ultralytics would leave one core idle"
    with pytest.raises(TrainError, match="holds a finished run"):
        train_detector(run)


def test_killed_run_is_resumed_also_after_it_was_moved(data, tmp_path, monkeypatch):
    before, after = tmp_path / "before", tmp_path / "Anna's \N{AUTOMOBILE}"
    before.mkdir()
    weights = before / "run" / "fit" / "weights"
    words = command(data, Path("run"), epochs=5)
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    killed = subprocess.Popen(words, stdout=subprocess.DEVNULL, cwd=before, env=environment)
    deadline = time.monotonic() + PATIENCE_S
    while not (weights / "previous.pt").exists():
        assert time.monotonic() < deadline
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    (weights / "last.pt").write_bytes((weights / "previous.pt").read_bytes()[:1000])
    before.rename(after)
    monkeypatch.chdir(after)
    out = Path("run").rename("moved")
    done = len((out / "fit" / "results.csv").read_text().splitlines()) - 1
    assert not (out / "run.json").exists()
    record = train_detector(DetectorRun((str(data),), "yolov8n.yaml", str(out), epochs=5, **SMALL))
    assert record["epochs"] == 5
    assert not before.exists()
    epochs = [r.split(",")[0] for r in (out / "fit/results.csv").read_text().splitlines()[1:]]
    assert 1 <= done < 5
    assert epochs[-1] == "5"
    assert len(epochs) <= 6, "all but the epoch that was cut off are there once"


@pytest.mark.parametrize(
    ("out", "reason"), [(".", "holds data, but no run"), ("data/run", "is inside --data .*data")]
)
def test_folder_that_is_no_run_is_not_changed(data, tmp_path, out, reason):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(TrainError, match=reason):
        train_detector(DetectorRun((str(data),), "yolov8n.yaml", str(tmp_path / out), epochs=1))
    assert sorted(tmp_path.rglob("*")) == before


def test_truncated_checkpoint_does_not_replace_a_complete_one(tmp_path, monkeypatch):
    monkeypatch.setattr(DetectionTrainer, "save_model", lambda self: self.last.write_bytes(b"cut"))
    trainer = object.__new__(PlateTrainer)
    trainer.wdir, trainer.last = tmp_path, tmp_path / "last.pt"
    torch.save({"epoch": 1}, trainer.last)
    for _ in range(3):
        trainer.save_model()
        assert torch.load(newest_checkpoint(tmp_path)) == {"epoch": 1}


def test_run_with_other_settings_is_not_resumed(data, tmp_path):
    base = Path(shutil.copy(RELU, tmp_path / "yolov8n-own.yaml"))
    run = DetectorRun((str(data),), str(base), str(tmp_path / "run"), epochs=1, **SMALL)
    train_detector(run)
    (tmp_path / "run" / "run.json").unlink()
    with pytest.raises(TrainError, match=r"holds a run with other epochs, seed; choose another"):
        train_detector(replace(run, epochs=2, seed=1))
    base.write_text(base.read_text() + "# another one\n")
    with pytest.raises(TrainError, match="holds a run with other base_sha256; choose another"):
        train_detector(run)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"base": "none.pt"}, "none.pt: cannot be loaded as a detector"),
        ({"plates": ("none",)}, "none/images: No such file"),
        ({"base": "nan.pt"}, "the loss is not finite in epoch 1: take a lower --lr0"),
    ],
)
def test_run_that_failed_at_the_start_leaves_nothing_behind(
    data, tmp_path, monkeypatch, *, wrong, reason
):
    monkeypatch.chdir(tmp_path)
    broken = YOLO("yolov8n.yaml")
    next(broken.model.parameters()).data.fill_(float("nan"))
    broken.save("nan.pt")
    run = DetectorRun((str(data),), "yolov8n.yaml", str(tmp_path / "run"), epochs=1, **SMALL)
    with pytest.raises(TrainError, match=reason):
        train_detector(replace(run, **wrong))
    assert not [*(tmp_path / "run").iterdir()]
    if wrong == {"base": "nan.pt"}:
        assert train_detector(run)["base"] == run.base


@pytest.mark.parametrize("lr0", [0, -1e-3, 1.1, float("nan")])
def test_learning_rate_is_above_0_and_at_most_1(data, tmp_path, lr0):
    run = DetectorRun((str(data),), "yolov8n.yaml", str(tmp_path / "run"), lr0=lr0)
    with pytest.raises(TrainError, match=r"--lr0 .*: must be more than 0"):
        train_detector(run)


def test_two_runs_cannot_use_one_folder(data, tmp_path):
    out = tmp_path / "run"
    run = DetectorRun((str(data),), "yolov8n.yaml", str(out), **SMALL)
    with alone_in(out), pytest.raises(TrainError, match="run: another run is using it"):
        train_detector(run)
    assert not [*out.iterdir()]


def test_image_that_ultralytics_leaves_out_is_an_error(data, tmp_path, monkeypatch):
    def size(image):
        if "00000" in image.filename:
            raise OSError("cannot identify image file")
        return image.size

    monkeypatch.setattr("ultralytics.data.utils.exif_size", size)
    run = DetectorRun((str(data),), "yolov8n.yaml", str(tmp_path / "run"), epochs=1, **SMALL)
    with pytest.raises(TrainError, match=r"\d.png: ultralytics cannot use it"):
        train_detector(run)


def test_run_that_was_killed_before_its_record_is_validated_again(data, tmp_path):
    out = tmp_path / "run"
    run = DetectorRun((str(data),), "yolov8n.yaml", str(out), epochs=1, **SMALL)
    record = train_detector(run)
    (out / "run.json").unlink()
    (out / "fit" / "weights" / "best.pt").write_bytes(b"cut off")
    again = train_detector(run)
    assert "metrics/mAP50(B)" in again["metrics"]
    assert again["minutes"] == record["minutes"]


def test_full_disk_is_named_and_the_run_is_resumed(data, tmp_path):
    out = tmp_path / "run"
    limited = f"ulimit -f 2000; exec {' '.join(command(data, out, epochs=1))}"
    done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"{out}: File too large" in done.stderr
    assert "run the same command again to resume" in done.stderr
    assert "Traceback" not in done.stderr
    train_detector(DetectorRun((str(data),), "yolov8n.yaml", str(out), epochs=1, **SMALL))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "base.pt: cannot be loaded as a detector"),
        (b"hello", "base.pt: cannot be loaded as a detector"),
        (torch.nn.Linear(1, 1), "base.pt: cannot be loaded as a detector"),
        ("yolov8n-seg.yaml", "base.pt: is a YOLO for the task segment, not a YOLO detector"),
    ],
)
def test_base_that_is_no_detector_is_refused(data, tmp_path, content, reason):
    base, out = tmp_path / "base.pt", tmp_path / "run"
    if isinstance(content, bytes):
        base.write_bytes(content)
    elif isinstance(content, torch.nn.Module):
        torch.save(content, base)
    elif content:
        YOLO(content, verbose=False).save(base)
    with pytest.raises(TrainError, match=reason):
        train_detector(DetectorRun((str(data),), str(base), str(out), epochs=1, **SMALL))
    assert not (out / "fit").exists()


@pytest.mark.parametrize("name", ["base.onnx", "base.md", "base.yaml"])
def test_file_that_is_neither_weights_nor_yaml_is_refused(tmp_path, name):
    (tmp_path / name).write_text("# text: [")
    with pytest.raises(TrainError, match=f"{name}: cannot be loaded as a detector"):
        load_detector(str(tmp_path / name))


def test_smaller_limit_gives_a_subset():
    images = list(range(50))
    few, more, every = (
        limited(images, DetectorRun((), "", "", seed=3, limit=limit)) for limit in (5, 20, None)
    )
    assert few == more[:5]
    assert sorted(every) == images
    assert np.any([a != b for a, b in zip(every, images, strict=True)])


def test_short_time_gives_fewer_epochs_and_first_layers_can_stay(data, tmp_path):
    base, out = tmp_path / "base.pt", tmp_path / "run"
    YOLO("yolov8n.yaml", verbose=False).save(base)
    settings = {**SMALL, "validate": False, "frozen": 10, "max_minutes": 1e-6}
    train_detector(DetectorRun((str(data),), str(base), str(out), epochs=9, **settings))
    assert len((out / "fit" / "results.csv").read_text().splitlines()) == 2, "a heading, an epoch"
    before, after = (
        load_detector(str(path)).model.float().state_dict()
        for path in (base, out / "fit" / "weights" / "last.pt")
    )
    changed = {int(name.split(".")[1]) for name in before if not before[name].equal(after[name])}
    assert 12 in changed
    assert min(changed) >= 10
