"""Drop-in readers: the same crops give the texts and confidences of fast-plate-ocr's package."""

import hashlib

import cv2
import numpy as np
import pytest
from fast_plate_ocr import LicensePlateRecognizer

from plateid.alpr import ALPR
from plateid.config.models import ModelsConfig
from plateid.core.formats import shipped_formats
from plateid.core.fusion import Fusion
from plateid.core.reading import fused_reading, single_reading
from plateid.core.records import PlateRead
from plateid.core.text import COLUMN_TEXTS, best_text
from plateid.errors import PlateidError
from plateid.models.networks import Networks
from tests.support.drop_in import SLOTS, slot_network, write_config, write_slot_reader
from tests.support.images import ArrayLazyImage

SIZES = [(60, 20), (200, 90), (31, 47), (1, 1), (9, 120)]
"""Width and height of the crops, pixels."""


@pytest.fixture
def model(tmp_path):
    return write_slot_reader(tmp_path)


def crops() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [
        cv2.resize(rng.integers(0, 256, (6, 9, 3)).astype(np.uint8), size) for size in SIZES * 4
    ]


def networks(bundle, model) -> Networks:
    return Networks(ModelsConfig(bundle=bundle, reader=str(model)))


def read(bundle, model, crop) -> PlateRead:
    height, width = crop.shape[:2]
    box = (0.0, 0.0, float(width), float(height))
    (found,) = networks(bundle, model).reader().read(ArrayLazyImage(crop), [box])
    return found


FORMS = [
    ({}, {}),
    ({"image_color_mode": None}, {"channels": 1}),
    ({"keep_aspect_ratio": "true", "interpolation": "lanczos4"}, {}),
    ({"keep_aspect_ratio": "true", "image_color_mode": "grayscale"}, {"channels": 1}),
    ({"keep_aspect_ratio": "true", "padding_color": 7}, {}),
    ({"interpolation": "cubic"}, {"flat": True}),
    (
        {"interpolation": "area", "plate_regions": "[Spain, Chile, Peru]"},
        {"outputs": ("plate", "region")},
    ),
    ({"plate_regions": "[Spain, Chile, Peru]"}, {"outputs": ("region", "plate")}),
]


@pytest.mark.parametrize(("config", "network"), FORMS)
def test_crops_give_the_texts_and_confidences_of_fast_plate_ocr(bundle, model, config, network):
    model.write_bytes(slot_network(**network))
    config_file = write_config(model.with_name("other_plate_config.yaml"), **config)
    package = LicensePlateRecognizer(
        device="cpu", onnx_model_path=model, plate_config_path=config_file
    )
    code = cv2.COLOR_BGR2GRAY if network.get("channels") == 1 else cv2.COLOR_BGR2RGB
    texts = set()
    reader = networks(bundle, model).reader()
    for crop in crops():
        height, width = crop.shape[:2]
        expected = package.run_one(cv2.cvtColor(crop, code), return_confidence=True)
        (got,) = reader.read(ArrayLazyImage(crop), [(0, 0, width, height)])
        assert best_text(got.probabilities) == expected.plate.replace("_", "")
        assert got.probabilities.max(axis=1) == pytest.approx(expected.char_probs, abs=1e-6)
        texts.add(expected.plate)
    assert len(texts) > 2


def test_read_has_a_position_for_each_slot_with_the_pad_as_blank(bundle, model):
    found = read(bundle, model, crops()[0])
    assert found.probabilities.shape == (SLOTS, len(COLUMN_TEXTS))
    assert found.probabilities.sum(axis=1) == pytest.approx(1.0)


def test_reads_are_fused_and_have_candidates(bundle, model):
    found, fusion = read(bundle, model, crops()[1]), Fusion()
    for _ in range(3):
        fusion.add(found)
    fused, single = fused_reading(fusion, shipped_formats()), single_reading(found)
    assert fused.plate_raw == single.plate_raw == best_text(found.probabilities)
    assert fused.confidence > single.confidence
    assert len(single.candidates) > 1


def test_boxes_are_read_in_order(bundle, model):
    image = np.hstack([cv2.resize(crop, (60, 30)) for crop in crops()[:3]])
    reader = networks(bundle, model).reader()
    boxes = [(120.0, 0.0, 180.0, 30.0), (0.0, 0.0, 60.0, 30.0)]
    together = reader.read(ArrayLazyImage(image), boxes)
    alone = [reader.read(ArrayLazyImage(image), [box])[0] for box in boxes]
    for got, expected in zip(together, alone, strict=True):
        assert got.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    assert reader.read(ArrayLazyImage(image), []) == []


def test_events_carry_the_name_of_the_drop_in(bundle, model):
    names = networks(bundle, model).names
    assert (names.detector, names.reader, names.bundle) == ("tiny-detector", "other", "tiny")
    assert len(networks(bundle, model).self_test()) == 2


def test_python_api_reads_with_the_drop_in(bundle, model):
    crop = cv2.resize(crops()[2], (64, 32))
    (plate,) = ALPR(bundle, reader=model).read(crop)
    assert 0 < len(plate.text) <= SLOTS
    assert plate.text != ALPR(bundle).read(crop)[0].text == "AB12"


def calibration(model, temperature, data=None) -> None:
    digest = hashlib.sha256(data or model.read_bytes()).hexdigest()
    text = f'sha256 = "{digest}"\ntemperature = {temperature}\n'
    model.with_name("other.calibration.toml").write_text(text)


def test_calibration_beside_the_model_lowers_its_confidence(bundle, model):
    before = read(bundle, model, crops()[0])
    calibration(model, 2.0)
    after = read(bundle, model, crops()[0])
    assert best_text(after.probabilities) == best_text(before.probabilities)
    assert after.probabilities.max() < before.probabilities.max()


ONE_LINE = "\\A[^\\n]*"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"alphabet": "'0123ÄÖ_'"}, "alphabet: plateid publishes A-Z and 0-9 only, not Ä Ö"),
        ({"alphabet": "'0123456789'"}, "alphabet: must have pad_char"),
        ({"alphabet": "'AAB_'"}, "alphabet: must have pad_char, and each character once"),
        ({"alphabet": "'ABC_'"}, r"output shape is \['n', 6, 37\]; .* 6 slots of 4 characters"),
        ({"max_plate_slots": 7}, r"output shape is .* 7 slots of 37 characters"),
        ({"max_plate_slots": "many"}, "max_plate_slots: Input should be a valid integer"),
        ({"img_width": None}, "img_width: Field required"),
        ({"img_width": 64}, r"input shape is \['n', 16, 32, 3\]; it must be \[1, 16, 64, 3\]"),
        ({"image_color_mode": None}, r"input shape is .*must be \[1, 16, 32, 1\]"),
        ({"rotation": 90}, "rotation: Extra inputs are not permitted"),
        ({"pad_char": "'"}, "other_plate_config.yaml: while scanning"),
    ],
)
def test_wrong_configuration_is_one_clear_line(bundle, model, changes, reason):
    write_config(model.with_name("other_plate_config.yaml"), **changes)
    with pytest.raises(PlateidError, match=f"{ONE_LINE}{reason}") as failure:
        networks(bundle, model)
    assert "\n" not in str(failure.value)


def test_configuration_is_also_found_as_the_only_one_of_the_folder(bundle, model, tmp_path):
    (tmp_path / "other_plate_config.yaml").rename(tmp_path / "arg_cnn_ocr_config.yaml")
    assert read(bundle, model, crops()[0]).probabilities.shape[0] == SLOTS
    write_config(tmp_path / "second_config.yaml")
    with pytest.raises(PlateidError, match=r"needs .* other_plate_config.yaml beside it"):
        networks(bundle, model)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no network", "cannot be run"),
        (slot_network(outputs=("region",)), r"output shape is \['n', 3\]"),
    ],
)
def test_wrong_network_is_one_clear_line(bundle, model, data, reason):
    model.write_bytes(data)
    with pytest.raises(PlateidError, match=f"{ONE_LINE}other.onnx: .*{reason}"):
        networks(bundle, model)


def test_missing_file_is_named(bundle, tmp_path):
    with pytest.raises(PlateidError, match=r"gone.onnx: No such file"):
        networks(bundle, tmp_path / "gone.onnx")


def test_calibration_of_another_model_is_refused(bundle, model):
    calibration(model, 2.0, b"another model")
    with pytest.raises(PlateidError, match=r"calibration.toml: was fitted with another other.onnx"):
        networks(bundle, model)
    calibration(model, -1)
    with pytest.raises(PlateidError, match=r"calibration.toml: temperature: .* greater than 0"):
        networks(bundle, model)


@pytest.mark.parametrize("value", ["eyes", "model.pt", ""])
def test_reader_is_a_name_or_an_onnx_file(value):
    with pytest.raises(ValueError, match=r"must be bundle, easyocr or the path of an .onnx file"):
        ModelsConfig(reader=value)
