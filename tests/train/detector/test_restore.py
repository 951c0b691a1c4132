import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from plateid.config.models import SHIPPED
from plateid.models.bundle import Bundle
from plateid.models.onnx_detector import to_detector_input
from train.detector.finetune import train_detector
from train.detector.plate_trainer import DetectorRun
from train.detector.restore import restore_weights
from train.detector.yolo_weights import load_detector
from train.export.best_candidates import BestCandidates
from train.export.torch_parity import demo_frame, infer
from train.manifest.bundle_toml import edit_bundle_toml, set_hashes
from train.train_error import TrainError

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(
    ("bundle", "tolerances"), [("accurate", (0.1, 0.002)), ("default", (9, 0.08))]
)
def test_restored_detector_gives_the_outputs_of_its_bundle(data, tmp_path, bundle, tolerances):
    images = sorted((data / "images").iterdir())
    model = load_detector(
        str(restore_weights(SHIPPED / bundle, tmp_path / "w.pt", images))
    ).model.float()
    means = [m.running_mean for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(float(mean.abs().max()) > 0 for mean in means), "statistics were measured"
    spec = Bundle(SHIPPED / bundle).spec.detector
    image = demo_frame(spec.width, spec.height)
    inputs = to_detector_input(image)
    network = BestCandidates(model.eval().fuse(), width=spec.width, height=spec.height).eval()
    with torch.inference_mode():
        got = network(torch.from_numpy(inputs)).numpy()[0].T
    taken = image[None] if bundle == "default" else inputs
    expected = infer(SHIPPED / bundle / "detector.onnx", taken)[0].T
    best, likely = expected[expected[:, 4].argmax()], got[got[:, 4] > 0.3]
    assert best[4] > 0.5
    off = np.abs(likely[:, :4] - best[:4]).max(axis=1)
    assert off.min() < tolerances[0]
    assert abs(likely[off.argmin(), 4] - best[4]) < tolerances[1]


@pytest.mark.parametrize(
    ("bundle", "activations"),
    [("accurate", {nn.SiLU}), ("default", {nn.ReLU}), ("small", {nn.SiLU, nn.ReLU})],
)
def test_run_starts_from_a_bundle_by_its_name(data, tmp_path, bundle, activations):
    out = tmp_path / "run"
    train_detector(DetectorRun((str(data),), bundle, str(out), epochs=1, imgsz=64))
    trained = load_detector(str(out / "fit/weights/last.pt")).model
    start = load_detector(str(out / "base.pt")).model
    kinds = [
        {n: type(m.act) for n, m in model.named_modules() if hasattr(m, "act")}
        for model in (trained, start)
    ]
    assert kinds[0] == kinds[1]
    assert set(kinds[0].values()) == activations
    moved = (trained.model[0].conv.weight - start.model[0].conv.weight).abs().max()
    assert 0 < float(moved.detach()) < 0.1


def test_bundle_with_another_network_is_refused(tmp_path):
    bundle = Path(shutil.copytree(SHIPPED / "accurate", tmp_path / "bundle"))
    model = onnx.load(bundle / "detector.onnx")
    (first,) = (w for w in model.graph.initializer if w.name == "model.model.0.conv.weight")
    first.name = "backbone"
    for node in model.graph.node:
        node.input[:] = ["backbone" if n == "model.model.0.conv.weight" else n for n in node.input]
    onnx.save(model, bundle / "detector.onnx")
    with edit_bundle_toml(bundle) as content:
        set_hashes(content, bundle)
    with pytest.raises(TrainError, match="not a YOLOv8n of one class"):
        restore_weights(bundle, tmp_path / "w.pt", [])
