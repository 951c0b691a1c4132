"""The recipes of the shipped bundles, with tiny data sets and trainings."""

import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from ultralytics import YOLO

from plateid.config.models import SHIPPED, ModelsConfig
from plateid.models.bundle import Bundle
from plateid.models.networks import Networks
from tests.support.images import ArrayLazyImage

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "train" / "recipes"
FAST = {
    "EPOCHS": "1",
    "IMGSZ": "32",
    "BATCH": "8",
    "MINUTES": "0.001",
    "PROCESSES": "1",
    "SAMPLES": "8",
    "SIZE": "192x96",
    "PYTHONPATH": str(ROOT),
    "OMP_WAIT_POLICY": "passive",  # else threads spin while they wait
}
SERVER = [sys.executable, str(Path(__file__).with_name("train_server.py"))]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Data sets, a folder of trainings that the recipes share, and a fast `train`."""
    root = tmp_path_factory.mktemp("recipes")
    for seed, name in enumerate(("romanian", "kaggle", "useu")):
        write_data_set(root / "data" / name, seed, header="image,x1,y1,x2,y2,text")
    for seed, name in enumerate(("us-crops", "cn-crops")):
        write_data_set(root / "data" / name, 10 + seed, header="image,text")
    model = YOLO("yolov8n.yaml", verbose=False)
    for weights in model.model.parameters():
        weights.data += 0.01 * torch.rand_like(weights)  # no two tensors are equal, as in COCO's
    model.save(root / "coco.pt")
    folders = {"DATA": f"{root}/data", "RUNS": f"{root}/runs", "COCO": f"{root}/coco.pt"}
    command = [*SERVER, str(root / "train")]
    variables = {**os.environ, **FAST, **folders, "TRAIN": " ".join(command)}
    with subprocess.Popen(command, env=variables) as server:
        while not (root / "train").exists():
            assert server.poll() is None
            time.sleep(0.1)
        yield variables
        server.terminate()


def write_data_set(folder: Path, seed: int, *, header: str) -> None:
    """Writes four noisy images, each with a light plate; or the plates only."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    rows = [header]
    for number in range(4):
        image = rng.integers(40, 120, (64, 64, 3)).astype(np.uint8)
        x, y = (int(v) for v in rng.integers(2, 22, 2))
        image[y : y + 16, x : x + 40] = rng.integers(180, 256, (16, 40, 1))
        name, text = f"{number}.png", f"AB{seed}{number}"
        is_crop = "x1" not in header
        rows.append(f"{name},{text}" if is_crop else f"{name},{x},{y},{x + 40},{y + 16},{text}")
        saved = image[y : y + 16, x : x + 40] if is_crop else image
        cv2.imwrite(str(folder / "images" / name), saved)
    (folder / "labels.csv").write_text("\n".join(rows))


@pytest.mark.parametrize("name", ["small", "accurate", "default"])
def test_recipe_makes_a_bundle_like_the_shipped_one(environment, tmp_path, name):
    out = tmp_path / name
    done = subprocess.run(
        [RECIPES / f"{name}.sh"],
        env={**environment, "OUT": str(out)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    made, shipped = Bundle(out).spec, Bundle(SHIPPED / name).spec
    assert made.name == shipped.name
    for ours, theirs in ((made.detector, shipped.detector), (made.reader, shipped.reader)):
        assert ours.precision == theirs.precision
    assert made.detector.threshold == shipped.detector.threshold
    assert {"romanian_mAP50", "kaggle_exact"} <= made.metrics.keys()
    networks = Networks(ModelsConfig(bundle=out))
    image = ArrayLazyImage(cv2.imread(f"{environment['DATA']}/romanian/images/0.png"))
    found = networks.detector(threshold=0.0).detect(image)
    (read,) = networks.reader().read(image, [found[0].box])
    assert read.probabilities.shape[1] == 37
