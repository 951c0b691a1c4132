from pathlib import Path

import onnx
import pytest
import torch
from ultralytics import YOLO

from plateid.config.models import DEFAULT_BUNDLE, SHIPPED
from plateid.models.bundle import Bundle
from train.detector.averaging import average_weights
from train.detector.onnx_weights import read_weights
from train.detector.restore import restore_weights
from train.detector.yolo_weights import load_fused
from train.export.bundle_export import Export, export_bundle
from train.train_error import TrainError

pytestmark = pytest.mark.filterwarnings("ignore")
FORM = {"size": "64x64", "precision": "float32"}


def scaled(base: Path, out: Path, *, by: float) -> Path:
    network = torch.load(base, weights_only=False)
    for parameter in network["model"].parameters():
        parameter.data *= by
    torch.save(network, out)
    return out


def test_exported_detector_is_the_average_of_weights_and_bundles(data, tmp_path):
    images = sorted((data / "images").iterdir())[:2]
    base = restore_weights(DEFAULT_BUNDLE, tmp_path / "base.pt", images)
    ours, other = (scaled(base, tmp_path / f"{by}.pt", by=by) for by in (0.9, 1.2))
    out = tmp_path / "bundle"
    export_bundle(Export(out, ours, average_with=(DEFAULT_BUNDLE, other), **FORM))
    got = read_weights(onnx.load(out / "detector.onnx").graph)
    files = [load_fused(str(path)) for path in (ours, other)]
    shipped = read_weights(onnx.load(DEFAULT_BUNDLE / "detector.onnx").graph)
    for name, (kernel, bias) in shipped.items():
        modules = [dict(network.named_modules())[name] for network in files]
        for average, first, others in (
            (got[name][0], kernel, [module.weight for module in modules]),
            (got[name][1], bias, [module.bias for module in modules]),
        ):
            wanted = (torch.from_numpy(first) + sum(part.detach() for part in others)) / 3
            assert torch.allclose(torch.from_numpy(average), wanted, atol=1e-4, rtol=1e-4), name
    assert Bundle(out).spec.detector.origin.endswith(
        "average of its weights and those of default (romanian, kaggle, useu) and those of 1.2.pt"
    )


def test_other_networks_are_not_averaged(data, tmp_path):
    images = sorted((data / "images").iterdir())[:2]
    ours, coco = restore_weights(DEFAULT_BUNDLE, tmp_path / "w.pt", images), tmp_path / "coco.pt"
    YOLO("yolov8n.yaml", verbose=False).save(coco)
    for other, reason in (
        (coco, r"--average-with .*coco.pt: its detector is another network"),
        (SHIPPED / "accurate", r"--average-with .*accurate: its detector is another network"),
        (tmp_path / "nowhere", r"nowhere: cannot be loaded as a detector"),
    ):
        with pytest.raises(TrainError, match=reason):
            export_bundle(Export(tmp_path / "bundle", ours, average_with=(other,), **FORM))


def test_exported_head_of_a_network_with_two_heads_is_averaged(tmp_path):
    for seed in range(2):
        torch.manual_seed(seed)
        YOLO("yolo26n.yaml", verbose=False).save(tmp_path / f"{seed}.pt")
    first, second, average = (load_fused(str(tmp_path / f"{seed}.pt")) for seed in (0, 1, 0))
    average_weights(average, [tmp_path / "1.pt"])
    kernels = [model.model[-1].cv2[0][0].conv.weight for model in (first, second, average)]
    assert not torch.allclose(kernels[0], kernels[1])
    assert torch.allclose((kernels[0] + kernels[1]) / 2, kernels[2], atol=1e-6)
