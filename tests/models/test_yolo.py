"""Drop-in detectors: every layout of YOLO outputs; tests/train compares with ultralytics."""

import numpy as np
import pytest
from onnx import TensorProto

from plateid.alpr import ALPR
from plateid.config.models import ModelsConfig
from plateid.core.records import Detection
from plateid.errors import PlateidError
from plateid.models.networks import Networks
from tests.support.drop_in import yolo_network
from tests.support.images import plain

ONE, TWO = {"names": {0: "licence"}}, {"names": {0: "car", 1: "License_Plate"}}
PLATE, CAR = (10, 20, 30, 28), (4, 4, 60, 60)
"""Corners in the input of 64 x 64 pixels."""
EMPTY_RAW = np.zeros((1, 6, 30))


def raw(*rows: tuple[tuple[int, ...], list[float]], classes: int = 2) -> np.ndarray:
    answer = np.zeros((1, 4 + classes, 30))
    for n, ((x1, y1, x2, y2), scores) in enumerate(rows):
        answer[0, :, n] = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, *scores]
    return answer


def end2end(*rows: list[float]) -> np.ndarray:
    return np.array([[*rows, *[[0.0] * 6] * 9]])


def networks(bundle, data: bytes, **options: object) -> Networks:
    path = bundle.parent / "yolo.onnx"
    path.write_bytes(data)
    return Networks(ModelsConfig(bundle=bundle, detector=str(path), **options))


def detect(bundle, data: bytes, size=(128, 128), **options: object) -> list[Detection]:
    return networks(bundle, data, **options).detector().detect(plain(*size))


LAYOUTS = {
    "raw, one class": (raw((PLATE, [0.8]), classes=1), ONE),
    "raw, best class only": (raw((PLATE, [0.1, 0.8]), (CAR, [0.9, 0.6])), TWO),
    "raw, overlaps": (raw((PLATE, [0, 0.8]), ((11, 20, 31, 28), [0, 0.7])), TWO),
    "end2end": (end2end([*PLATE, 0.8, 1], [*CAR, 0.9, 0], [*CAR, 0.2, 1]), TWO),
    "open-image-models": (np.array([[0, *PLATE, 0, 0.8]]), {}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_plates_of_every_layout_are_in_image_pixels(bundle, layout):
    (found,) = detect(bundle, yolo_network(*LAYOUTS[layout]))
    assert found.box == pytest.approx((20, 40, 60, 56))
    assert found.score == pytest.approx(0.8)


def test_letterbox_of_a_wide_image_is_undone_and_a_small_one_is_enlarged(bundle):
    data = yolo_network(raw((PLATE, [0, 0.8])), TWO)
    (found,) = detect(bundle, data, size=(128, 64))
    assert found.box == pytest.approx((20, 8, 60, 24))
    (found,) = detect(bundle, data, size=(32, 32))
    assert found.box == pytest.approx((5, 10, 15, 14))


def test_output_without_rows_finds_nothing(bundle):
    data = yolo_network(np.zeros((0, 7)), declared=["boxes", 7])
    assert detect(bundle, data) == []


def test_class_of_plates_is_chosen_by_name(bundle):
    names = {"names": {0: "targa", 1: "auto"}}
    data = yolo_network(raw((PLATE, [0.8, 0.1]), (CAR, [0.1, 0.9])), names)
    (found,) = detect(bundle, data, detector_class="targa")
    assert found.box == pytest.approx((20, 40, 60, 56))
    with pytest.raises(PlateidError, match=r"unclear: set models.detector_class to .* targa, auto"):
        detect(bundle, data)
    with pytest.raises(PlateidError, match=r"no class plate: set models.detector_class to one of"):
        detect(bundle, data, detector_class="plate")


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ({"metadata": TWO | {"task": "segment"}}, "of the task segment; plateid needs detect"),
        ({"metadata": ONE}, r"output shape is \[1, 6, 30\]; a YOLO detector of 1 classes has"),
        ({"metadata": {"names": "plates"}}, "its metadata names is no table of classes"),
        ({"metadata": {"names": {0: 5, 1: 6}}}, "its metadata names is no table of classes"),
        ({"metadata": {"names": {1: "plate"}}}, "its metadata names is no table of classes"),
        ({"answer": np.zeros((1, 2000, 6))}, r"output shape is \[1, 2000, 6\]"),
        (
            {"shape": ("n", 3, "h", "w")},
            r"input shape is \['n', 3, 'h', 'w'\]; it must be \[1, 3, fixed, fixed\]",
        ),
        ({"shape": (1, 64, 64, 3)}, r"input shape is \[1, 64, 64, 3\]; it must be \[1, 3, fixed"),
        ({"shape": (8, 3, 64, 64)}, r"input shape is \[8, 3, 64, 64\]; it must be \[1, 3"),
        ({"dtype": TensorProto.FLOAT16}, r"input is float16; it must be float32"),
    ],
)
def test_wrong_network_is_one_clear_line(bundle, network, reason):
    data = yolo_network(**({"answer": EMPTY_RAW, "metadata": TWO} | network))
    with pytest.raises(PlateidError, match=f"yolo.onnx: .*{reason}") as failure:
        networks(bundle, data)
    assert "\n" not in str(failure.value)


def test_python_api_detects_with_the_drop_in(bundle):
    path = bundle.parent / "yolo.onnx"
    path.write_bytes(yolo_network(*LAYOUTS["end2end"]))
    (plate,) = ALPR(bundle, detector=path).read(np.zeros((128, 128, 3), np.uint8))
    assert plate.box == pytest.approx((20, 40, 60, 56))
    alpr = ALPR(bundle, detector=path, min_score=0.9)
    assert alpr.read(np.zeros((128, 128, 3), np.uint8)) == []
    assert alpr.networks.names.detector == "yolo"
    assert len(alpr.networks.self_test()) == 2


def test_detector_is_a_name_or_an_onnx_file():
    with pytest.raises(ValueError, match=r"must be bundle or the path of an .onnx file"):
        ModelsConfig(detector="easyocr")
