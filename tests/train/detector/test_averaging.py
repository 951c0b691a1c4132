"""A detector that becomes the mean of some."""

from pathlib import Path

import onnx
import pytest
import torch
from ultralytics import YOLO

from plateid.config.models import DEFAULT_BUNDLE, SHIPPED
from plateid.models.bundle import Bundle
from train.detector.averaging import average_with
from train.detector.restore import restore_weights, weights
from train.detector.training_session import load_fused
from train.export.bundle_export import Export, export_bundle
from train.train_error import TrainError

pytestmark = pytest.mark.filterwarnings("ignore")


def changed(base: Path, out: Path, *, by: float) -> Path:
    network = torch.load(base, weights_only=False)
    for parameter in network["model"].parameters():
        parameter.data *= by
    torch.save(network, out)
    return out


def test_an_exported_detector_may_be_the_mean_of_weights_and_of_bundles(data, tmp_path):
    base = restore_weights(DEFAULT_BUNDLE, tmp_path / "base.pt", sorted((data / "images").iterdir())[:2])
    ours, other = (changed(base, tmp_path / f"{by}.pt", by=by) for by in (0.9, 1.2))
    out = tmp_path / "bundle"
    form = {"size": "64x64", "precision": "float32"}
    export_bundle(Export(out, ours, mean=(DEFAULT_BUNDLE, other), **form))
    got = weights(onnx.load(out / "detector.onnx").graph)
    files = [load_fused(str(path)) for path in (ours, other)]
    for name, (kernel, bias) in weights(onnx.load(DEFAULT_BUNDLE / "detector.onnx").graph).items():
        each = [dict(network.named_modules())[name] for network in files]
        for mean, first, rest in (
            (got[name][0], kernel, [module.weight for module in each]),
            (got[name][1], bias, [module.bias for module in each]),
        ):
            wanted = (torch.from_numpy(first) + sum(part.detach() for part in rest)) / 3
            assert torch.allclose(torch.from_numpy(mean), wanted, atol=1e-4, rtol=1e-4), name
    assert Bundle(out).spec.detector.origin.endswith(
        "average of its weights and those of default (romanian, kaggle, useu) and those of 1.2.pt"
    )
    YOLO("yolov8n.yaml", verbose=False).save(tmp_path / "coco.pt")
    with pytest.raises(TrainError, match=r"--mean .*coco.pt: its detector is another network"):
        export_bundle(Export(out, ours, mean=(tmp_path / "coco.pt",), **form))
    with pytest.raises(TrainError, match=r"--mean .*accurate: its detector is another network"):
        export_bundle(Export(out, ours, mean=(SHIPPED / "accurate",), **form))
    with pytest.raises(TrainError, match=r"nowhere: not a detector that can be loaded"):
        export_bundle(Export(out, ours, mean=(tmp_path / "nowhere",), **form))
    with pytest.raises(TrainError, match=r"--mean: only with --detector or --reader"):
        export_bundle(Export(out, mean=(DEFAULT_BUNDLE,)))


def test_of_networks_with_two_heads_the_one_that_is_exported_is_averaged(tmp_path):
    for seed in range(2):
        torch.manual_seed(seed)
        YOLO("yolo26n.yaml", verbose=False).save(tmp_path / f"{seed}.pt")
    first, second, mean = (load_fused(str(tmp_path / f"{seed}.pt")) for seed in (0, 1, 0))
    average_with(mean, [tmp_path / "1.pt"])
    kernels = [model.model[-1].cv2[0][0].conv.weight for model in (first, second, mean)]
    assert not torch.allclose(kernels[0], kernels[1])
    assert torch.allclose((kernels[0] + kernels[1]) / 2, kernels[2], atol=1e-6)
