import shutil

import numpy as np
import pytest
from ultralytics import YOLO

from plateid.config.models import SHIPPED, ModelsConfig
from plateid.core.geometry import same_place
from plateid.models.bundle import Bundle
from plateid.models.networks import Networks
from tests.support.bundles import detector_network
from tests.support.images import ArrayLazyImage
from train.export.best_candidates import resize_detector
from train.export.bundle_export import Export, export_bundle
from train.export.torch_parity import demo_frame
from train.train_error import TrainError

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("bundle", ["default", "accurate"])
def test_resized_detector_finds_the_same_plates(tmp_path, bundle):
    out = tmp_path / "small"
    shutil.copytree(SHIPPED / bundle, out)
    export_bundle(Export(out, size="320x192"))
    found = []
    for folder in (SHIPPED / bundle, out):
        networks = Networks(ModelsConfig(bundle=folder))
        found.append(networks.detector().detect(ArrayLazyImage(demo_frame(640, 384))))
    assert Bundle(out).spec.detector.width == 320
    assert any(same_place(found[1][0].box, each.box) for each in found[0])


def test_network_of_another_exporter_is_not_resized(tmp_path):
    file = tmp_path / "other.onnx"
    file.write_bytes(detector_network([(1, 1, 1, 1, 0.5)]))
    with pytest.raises(TrainError, match="not a detector of `train export`"):
        resize_detector(file, 320, 192)


@pytest.mark.parametrize(
    ("size", "reason"),
    [((64, 64), "gives fewer than 300 candidates"), ((320, 200), "both must be multiples of 32")],
)
def test_impossible_size_is_refused(tmp_path, size, reason):
    file = shutil.copy(SHIPPED / "default" / "detector.onnx", tmp_path)
    with pytest.raises(TrainError, match=f"--size {size[0]}x{size[1]}: {reason}"):
        resize_detector(file, *size)


def test_network_with_stride_64_needs_multiples_of_64(tmp_path):
    weights, out = tmp_path / "p6.pt", tmp_path / "bundle"
    network = YOLO("yolov8n-p6.yaml", verbose=False)
    network.model = type(network.model)(network.model.yaml, nc=1, verbose=False)
    network.save(weights)
    with pytest.raises(TrainError, match="--size 320x160: both must be multiples of 64"):
        export_bundle(Export(out, weights, size="320x160"))
    export_bundle(Export(out, weights, size="320x192"))
    export_bundle(Export(out, size="384x256"))
    image = ArrayLazyImage(demo_frame(640, 384))
    boxes = [d.box for d in Networks(ModelsConfig(bundle=out)).detector(threshold=0).detect(image)]
    assert boxes and np.isfinite(boxes).all()
