from pathlib import Path

import numpy as np
import pytest
import torch
from ultralytics import YOLO

from plateid.config.models import DEFAULT_BUNDLE, ModelsConfig
from plateid.models.bundle import Bundle
from plateid.models.networks import Networks
from tests.support.bundles import detector_network, reader_network, write_bundle
from tests.support.images import ArrayLazyImage
from train.export.bundle_export import Export, export_bundle
from train.reader.platenet import PlateNet
from train.reader.reader_weights import MODEL, average_with, load_base
from train.train_error import TrainError

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, weights) -> Path:
    folder = tmp_path_factory.mktemp("export") / "bundle"
    export_bundle(Export(folder, weights, size="192x96"))
    return folder


def test_exported_bundle_is_valid_and_runs(bundle):
    networks = Networks(ModelsConfig(bundle=bundle))
    assert (networks.spec.detector.width, networks.spec.detector.height) == (192, 96)
    image = ArrayLazyImage(np.full((360, 640, 3), 127, np.uint8))
    assert networks.detector(threshold=0.1).detect(image)


def test_new_bundle_has_its_own_name_and_no_metrics(tmp_path, weights):
    out = tmp_path / "new" / "my-gate"
    export_bundle(Export(out, weights, size="64x64"))
    spec = Bundle(out).spec
    assert (spec.name, spec.detector.name, spec.metrics) == ("my-gate", "my-gate", {})
    assert spec.reader == Bundle(DEFAULT_BUNDLE).spec.reader
    assert (out / "reader.onnx").read_bytes() == (DEFAULT_BUNDLE / "reader.onnx").read_bytes()
    assert "64 x 64 pixels, colour" in (out / "MODEL_CARD.md").read_text()
    export_bundle(Export(out, size="128x128", name="smaller"))
    assert Bundle(out).spec.detector.name == "smaller"
    export_bundle(Export(out, weights, size="64x64", name="other"))
    spec = Bundle(out).spec
    assert (spec.name, spec.detector.name, spec.detector.width) == ("other", "other", 64)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"size": "640"}, "--size 640: must be WIDTHxHEIGHT"),
        ({"size": "640x380"}, "--size 640x380: both must be multiples of 32"),
        ({"size": "0x64"}, "--size 0x64"),
        ({"size": "64x64", "precision": "int8"}, "int8 is calibrated with images"),
        ({"data": ("images",)}, "--data: only with --precision int8"),
    ],
)
def test_refused_export_does_not_change_the_bundle(tmp_path, weights, options, reason):
    out = tmp_path / "bundle"
    export_bundle(Export(out, weights, size="64x64"))
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    with pytest.raises(TrainError, match=reason):
        export_bundle(Export(out, weights, **options))
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert list(tmp_path.iterdir()) == [out], "no temporary folder is left"


@pytest.mark.parametrize("option", [{"precision": "int8"}, {"data": ("d",)}])
def test_option_without_its_network_is_refused(tmp_path, option):
    with pytest.raises(TrainError, match=rf"--{next(iter(option))}: only with --"):
        export_bundle(Export(tmp_path / "bundle", **option))
    assert not list(tmp_path.iterdir())


def test_copy_under_another_name_has_no_metrics(tmp_path):
    export_bundle(Export(tmp_path / "mine"))
    spec = Bundle(tmp_path / "mine").spec
    assert (spec.name, spec.metrics) == ("mine", {})


def test_folder_that_is_no_bundle_is_not_replaced(tmp_path, weights):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(TrainError, match="file: holds something that is not a bundle"):
        export_bundle(Export(tmp_path / "file", weights, size="64x64"))
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine.pt").write_text("precious")
    with pytest.raises(TrainError, match="holds something that is not a bundle"):
        export_bundle(Export(tmp_path / "runs", weights, size="64x64"))
    assert (tmp_path / "runs" / "mine.pt").read_text() == "precious"
    with pytest.raises(TrainError, match="--out"):
        export_bundle(Export(tmp_path / "runs" / "mine.pt" / "bundle", weights, size="64x64"))


def test_detector_of_several_classes_is_refused(tmp_path):
    YOLO("yolov8n.yaml", verbose=False).save(tmp_path / "coco.pt")
    with pytest.raises(TrainError, match=r"coco.pt: not a detector of one class"):
        export_bundle(Export(tmp_path / "bundle", tmp_path / "coco.pt"))


@pytest.fixture
def network() -> PlateNet:
    """A reader with random weights, all different as after training."""
    torch.manual_seed(0)
    network = PlateNet()
    for weights in network.state_dict().values():
        if weights.is_floating_point():
            weights.add_(0.01 * torch.rand_like(weights))
    return network


@pytest.fixture
def checkpoint(tmp_path, network) -> Path:
    torch.save({MODEL: network.state_dict()}, tmp_path / "last.pt")
    return tmp_path / "last.pt"


def test_training_resumes_from_the_reader_of_a_bundle(tmp_path, network, checkpoint):
    out = tmp_path / "bundle"
    export_bundle(Export(out, reader=checkpoint))
    spec = Bundle(out).spec.reader
    assert (spec.name, spec.width, spec.height, spec.colour) == ("bundle", 144, 48, "bgr")
    resumed = PlateNet()
    load_base(resumed, out)
    crops = torch.rand(2, 3, 48, 144) * 255
    with torch.inference_mode():
        before, after = (each.eval()(crops)[0] for each in (network, resumed))
    assert torch.allclose(before, after, atol=0.02), "apart from the rounding to float16"


def test_reader_is_averaged_with_bundles(tmp_path, network, checkpoint):
    export_bundle(Export(tmp_path / "bundle", reader=checkpoint))
    bundles = [DEFAULT_BUNDLE, tmp_path / "bundle"]
    states = [{name: weight.clone() for name, weight in network.state_dict().items()}]
    for bundle in bundles:
        other = PlateNet()
        load_base(other, bundle)
        states.append(other.state_dict())
    average_with(network, bundles)
    for name, weight in network.state_dict().items():
        if weight.is_floating_point():
            mean = sum(state[name] for state in states) / 3
            assert torch.allclose(weight, mean, atol=1e-6), name


def test_averaged_reader_names_its_origins(tmp_path, checkpoint):
    out = tmp_path / "average"
    export_bundle(Export(out, reader=checkpoint, average_with=(DEFAULT_BUNDLE,)))
    spec = Bundle(out).spec
    assert (spec.reader.name, spec.detector) == ("average", Bundle(DEFAULT_BUNDLE).spec.detector)
    assert spec.reader.origin.endswith(
        "average of its weights and those of default (romanian, kaggle, useu, us-crops, cn-crops)"
    )


def test_average_needs_a_checkpoint_and_a_network(tmp_path, checkpoint):
    out = tmp_path / "average"
    with pytest.raises(TrainError, match=r"nowhere: not a checkpoint of a reader"):
        export_bundle(Export(out, reader=checkpoint, average_with=(tmp_path / "nowhere",)))
    with pytest.raises(TrainError, match=r"--average-with: only with --detector or --reader"):
        export_bundle(Export(out, average_with=(DEFAULT_BUNDLE,)))


def test_reader_of_another_architecture_is_not_loaded(tmp_path):
    tiny = write_bundle(tmp_path / "tiny", detector_network([]), reader_network("A"))
    with pytest.raises(TrainError, match=r"tiny: its reader tiny-reader is another network"):
        load_base(PlateNet(), tiny)
