"""From weights to a bundle, with the real networks."""

import shutil
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from ultralytics import YOLO

from plateid.config.models import DEFAULT_BUNDLE, SHIPPED, ModelsConfig
from plateid.core.geometry import same_place
from plateid.models.bundle import Bundle
from plateid.models.networks import Networks
from plateid.models.onnx_detector import to_detector_input
from plateid.models.onnx_reader import to_reader_input
from tests.support.bundles import detector_network, reader_network, write_bundle
from tests.support.images import ArrayLazyImage
from train.export import int8_detector, int8_reader
from train.export.best_candidates import COUNT
from train.export.bundle_export import Export, export_bundle
from train.export.input_size import resize_detector
from train.export.int8_detector import sensitive
from train.export.torch_parity import check_candidates, check_equal, run, street
from train.reader.platenet import PlateNet
from train.reader.reader_weights import MODEL, average_with, load_base
from train.synth.crop_folder import write_crop_folder
from train.train_error import TrainError

# Of torch's exporter, which says what its next versions will do.
pytestmark = pytest.mark.filterwarnings("ignore")
RELU = str(Path(__file__).parents[3] / "train" / "detector" / "yolov8n-relu.yaml")


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A network that was never trained, but is sure of all that it sees."""
    torch.manual_seed(0)
    model = YOLO(RELU, verbose=False)
    for tower in model.model.model[-1].cv3:
        torch.nn.init.constant_(tower[-1].bias, 1.0)
    path = tmp_path_factory.mktemp("weights") / "detector.pt"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, weights) -> Path:
    folder = tmp_path_factory.mktemp("export") / "bundle"
    export_bundle(Export(folder, weights, size="192x96"))
    return folder


def test_an_exported_bundle_is_verified_and_runs(bundle):
    networks = Networks(ModelsConfig(bundle=bundle))
    assert (networks.spec.detector.width, networks.spec.detector.height) == (192, 96)
    picture = ArrayLazyImage(np.full((360, 640, 3), 127, np.uint8))
    assert networks.detector(threshold=0.1).detect(picture)


def test_training_resumes_from_the_reader_of_a_bundle(tmp_path):
    torch.manual_seed(0)
    ours = PlateNet()
    for weights in ours.state_dict().values():
        if weights.is_floating_point():
            weights.add_(0.01 * torch.rand_like(weights))  # no two are alike, as after training
    torch.save({MODEL: ours.state_dict()}, tmp_path / "last.pt")
    out = tmp_path / "bundle"
    export_bundle(Export(out, reader=tmp_path / "last.pt"))
    spec = Bundle(out).spec.reader
    assert (spec.name, spec.width, spec.height, spec.colour) == ("bundle", 144, 48, "bgr")
    fresh = PlateNet()
    load_base(fresh, out)
    crops = torch.rand(2, 3, 48, 144) * 255
    with torch.inference_mode():
        before, after = (each.eval()(crops) for each in (ours, fresh))
    assert torch.allclose(before, after, atol=0.02), "but for the rounding to float16"
    own = {name: weight.clone() for name, weight in ours.state_dict().items()}
    average_with(ours, [DEFAULT_BUNDLE, out])
    another = {name: weight.clone() for name, weight in fresh.state_dict().items()}
    load_base(fresh, DEFAULT_BUNDLE)
    for name, weight in fresh.state_dict().items():
        if weight.is_floating_point():
            mean = (own[name] + weight + another[name]) / 3
            assert torch.allclose(ours.state_dict()[name], mean, atol=1e-6), name
    mean = tmp_path / "mean"
    export_bundle(Export(mean, reader=tmp_path / "last.pt", mean=(DEFAULT_BUNDLE,)))
    spec = Bundle(mean).spec
    assert (spec.reader.name, spec.detector) == ("mean", Bundle(DEFAULT_BUNDLE).spec.detector)
    assert Bundle(mean).spec.reader.origin.endswith(
        "average of its weights and those of default (romanian, kaggle, useu, us-crops, cn-crops)"
    )
    with pytest.raises(TrainError, match=r"nowhere: not a checkpoint of a reader"):
        export_bundle(Export(mean, reader=tmp_path / "last.pt", mean=(tmp_path / "nowhere",)))
    with pytest.raises(TrainError, match=r"--mean: only with --detector or --reader"):
        export_bundle(Export(mean, mean=(DEFAULT_BUNDLE,)))
    tiny = write_bundle(tmp_path / "tiny", detector_network([]), reader_network("A"))
    with pytest.raises(TrainError, match=r"tiny: its reader tiny-reader is another network"):
        load_base(fresh, tiny)


@pytest.mark.parametrize(("size", "count"), [("64x64", 84), ("640x384", COUNT)])
def test_the_graph_keeps_the_best_candidates_and_their_boxes_are_those_of_ultralytics(
    tmp_path, weights, size, count
):
    out = tmp_path / "bundle"
    export_bundle(Export(out, weights, size=size, precision="float32"))
    width, height = (int(side) for side in size.split("x"))
    inputs = np.random.default_rng(0).random((1, 3, height, width), np.float32)
    got = run(out / "detector.onnx", inputs)
    model = YOLO(weights).model.float().eval()
    with torch.inference_mode():
        every = model(torch.from_numpy(inputs))[0].numpy()
    best = np.argsort(-every[0, 4])[:count]
    assert got.shape == (1, 5, count)
    check_candidates(out, got, every[:, :, best], box=1.0, score=1e-3)


def test_in_8_bits_it_is_smaller_and_says_what_it_is(tmp_path, weights, data):
    out = tmp_path / "bundle"
    export_bundle(Export(out, weights, size="64x64", precision="int8", data=(str(data),)))
    spec = tomllib.loads((out / "bundle.toml").read_text())["detector"]
    assert spec["precision"] == "int8"
    assert (out / "detector.onnx").stat().st_size < 4_000_000
    exact = tmp_path / "exact"
    export_bundle(Export(exact, weights, size="64x64", precision="float32"))
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    answers = (
        run(out / "detector.onnx", image[None]),
        run(exact / "detector.onnx", to_detector_input(image)),
    )
    scores = [np.sort(answer[0, 4]) for answer in answers]
    assert 0 < np.abs(scores[0] - scores[1]).max() < 0.1


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Path:
    """A checkpoint of the one that ships in float."""
    ours = PlateNet()
    load_base(ours, SHIPPED / "accurate")
    path = tmp_path_factory.mktemp("reader") / "last.pt"
    torch.save({MODEL: ours.state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def plates(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("rendered") / "plates"
    write_crop_folder(folder, 60, seed=5)
    return folder


def test_a_reader_in_8_bits_answers_alike_and_training_goes_on_from_it(tmp_path, reader, plates):
    out, exact = tmp_path / "int8", tmp_path / "float"
    export_bundle(Export(out, reader=reader, precision="int8", data=(str(plates),)))
    export_bundle(Export(exact, reader=reader, precision="float32"))
    spec = Bundle(out).spec
    assert (spec.reader.precision, spec.reader.name) == ("int8", "int8")
    assert (out / "reader.onnx").stat().st_size < (exact / "reader.onnx").stat().st_size
    image = cv2.imread(str(min((plates / "images").iterdir())))
    crop = to_reader_input(image, spec.reader)[None]
    answers = run(out / "reader.onnx", crop), run(exact / "reader.onnx", crop)
    assert 0 < np.abs(answers[0] - answers[1]).mean() < 0.01
    fresh, ours = PlateNet(), PlateNet()
    load_base(fresh, out)
    load_base(ours, SHIPPED / "accurate")
    kept = fresh.state_dict()
    for name, weight in ours.state_dict().items():
        if weight.is_floating_point():
            assert torch.allclose(kept[name], weight, rtol=1e-3, atol=1e-4), name
    export_bundle(Export(out, reader=reader))
    assert Bundle(out).spec.reader.name == "int8", "as it was, without a --name"


def test_8_bits_that_no_plate_can_judge_are_refused(tmp_path, reader, plates):
    one = tmp_path / "one"
    shutil.copytree(plates, one)
    head, first, *_ = (one / "labels.csv").read_text().splitlines()
    (one / "labels.csv").write_text(f"{head}\n{first}\n")
    with pytest.raises(TrainError, match="one: no plate with a text is held out to judge 8 bits"):
        export_bundle(Export(tmp_path / "b", reader=reader, precision="int8", data=(str(one),)))


def test_8_bits_that_read_fewer_plates_are_refused(tmp_path, reader, plates, monkeypatch):
    monkeypatch.setattr(int8_reader, "LOSS", -2.0)
    monkeypatch.setattr(int8_reader, "CHANCE", -100)
    with pytest.raises(TrainError, match=r"of \d+ held-out plates it reads \d+ in 8 bits, and"):
        export_bundle(Export(tmp_path / "b", reader=reader, precision="int8", data=(str(plates),)))
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("bundle", ["default", "accurate"])
def test_a_detector_of_another_size_finds_the_same_plates(tmp_path, bundle):
    out = tmp_path / "small"
    shutil.copytree(SHIPPED / bundle, out)
    export_bundle(Export(out, size="320x192"))
    found = []
    for folder in (SHIPPED / bundle, out):
        networks = Networks(ModelsConfig(bundle=folder))
        found.append(networks.detector().detect(ArrayLazyImage(street(640, 384))))
    assert Bundle(out).spec.detector.width == 320
    assert any(same_place(found[1][0].box, each.box) for each in found[0])


def test_what_export_did_not_write_cannot_be_resized(tmp_path):
    file = tmp_path / "other.onnx"
    file.write_bytes(detector_network([(1, 1, 1, 1, 0.5)]))
    with pytest.raises(TrainError, match="not a detector of `train export`"):
        resize_detector(file, 320, 192)


@pytest.mark.parametrize(
    ("size", "reason"),
    [((64, 64), "fewer than 300 places"), ((320, 200), "both must be multiples of 32")],
)
def test_a_size_that_a_detector_cannot_have_is_refused(tmp_path, size, reason):
    file = shutil.copy(SHIPPED / "default" / "detector.onnx", tmp_path)
    with pytest.raises(TrainError, match=f"--size {size[0]}x{size[1]}: {reason}"):
        resize_detector(file, *size)


def test_a_network_of_larger_steps_wants_a_size_of_them_and_can_be_resized(tmp_path):
    weights, out = tmp_path / "p6.pt", tmp_path / "bundle"
    network = YOLO("yolov8n-p6.yaml", verbose=False)
    network.model = type(network.model)(network.model.yaml, nc=1, verbose=False)
    network.save(weights)
    with pytest.raises(TrainError, match="--size: both must be multiples of 64"):
        export_bundle(Export(out, weights, size="320x160"))
    export_bundle(Export(out, weights, size="320x192"))
    export_bundle(Export(out, size="384x256"))
    picture = ArrayLazyImage(street(640, 384))
    boxes = [
        d.box for d in Networks(ModelsConfig(bundle=out)).detector(threshold=0).detect(picture)
    ]
    assert boxes and np.isfinite(boxes).all()


def test_8_bits_that_cost_accuracy_are_refused(tmp_path, weights, data, monkeypatch):
    monkeypatch.setattr(int8_detector, "LOSS", -2.0)
    with pytest.raises(TrainError, match=r"mAP50 falls from \d\.\d+ to \d\.\d+ in 8 bits"):
        export_bundle(
            Export(tmp_path / "b", weights, size="64x64", precision="int8", data=(str(data),))
        )


def test_a_new_bundle_has_its_own_name_and_none_of_the_figures_of_the_one_that_ships(
    tmp_path, weights
):
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
        ({"size": "64x64", "precision": "int8"}, "int8 is calibrated with pictures"),
        ({"data": ("pictures",)}, "--data: only with --precision int8"),
    ],
)
def test_a_refused_export_leaves_the_bundle_as_it_was(tmp_path, weights, options, reason):
    out = tmp_path / "bundle"
    export_bundle(Export(out, weights, size="64x64"))
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    with pytest.raises(TrainError, match=reason):
        export_bundle(Export(out, weights, **options))
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert list(tmp_path.iterdir()) == [out], "nothing is left beside it"


@pytest.mark.parametrize("option", [{"precision": "int8"}, {"data": ("d",)}])
def test_an_option_without_its_network_is_refused(tmp_path, option):
    with pytest.raises(TrainError, match=rf"--{next(iter(option))}: only with --"):
        export_bundle(Export(tmp_path / "bundle", **option))
    assert not list(tmp_path.iterdir())


def test_a_copy_under_another_name_has_no_figures(tmp_path):
    export_bundle(Export(tmp_path / "mine"))
    spec = Bundle(tmp_path / "mine").spec
    assert (spec.name, spec.metrics) == ("mine", {})


def test_a_folder_that_is_no_bundle_is_never_replaced(tmp_path, weights):
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


def test_a_detector_of_several_classes_is_refused(tmp_path):
    YOLO("yolov8n.yaml", verbose=False).save(tmp_path / "coco.pt")
    with pytest.raises(TrainError, match=r"coco.pt: not a detector of one class"):
        export_bundle(Export(tmp_path / "bundle", tmp_path / "coco.pt"))


def test_a_network_that_answers_otherwise_is_refused(tmp_path):
    same = np.full((1, 5, 9), 0.5, np.float32)
    check_equal(tmp_path, same, same, tolerance=1e-3)
    with pytest.raises(TrainError, match=r"differs from torch by 0.002"):
        check_equal(tmp_path, same, same + np.float32(0.002), tolerance=1e-3)


def test_candidates_are_compared_in_any_order(tmp_path):
    some = np.random.default_rng(0).random((1, 5, 9)).astype(np.float32)
    check_candidates(tmp_path, some, some[:, :, ::-1], box=0.5, score=1e-3)
    off = np.zeros((5, 1), np.float32)
    off[2] = 0.7
    for other in (some + off, some[:, :, :5]):
        with pytest.raises(TrainError, match=r"differs from torch"):
            check_candidates(tmp_path, other, some, box=0.5, score=1e-3)


@pytest.mark.parametrize(
    ("node", "kept"),
    [
        ("/model/model.4/cv1/conv/Conv", False),
        ("/model/model.22/cv2.0/cv2.0.1/conv/Conv", False),
        ("/model/model.22/cv3.2/cv3.2.2/Conv", True),
        ("/model/model.22/Concat_1", True),
        ("/dfl/conv/Conv", True),
        ("/TopK", True),
    ],
)
def test_answers_stay_in_float(node, kept):
    assert sensitive(node, head="/model/model.22/") is kept
