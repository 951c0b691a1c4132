"""From weights to a bundle, with the real networks at their real sizes."""

from pathlib import Path

import cv2
import easyocr_en_models
import numpy as np
import pytest
import torch
from ultralytics import YOLO

from plateid.config import ModelsConfig
from plateid.core.text import slots_text
from plateid.models.networks import Networks
from tests.pictures import ArrayPicture
from train.easyocr_reader import load
from train.errors import TrainError
from train.export import check_equal, export_bundle

# Of torch's exporter, which says what its next versions will do.
pytestmark = pytest.mark.filterwarnings("ignore")
ENGLISH_G2 = Path(easyocr_en_models.__file__).parent / "models"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    torch.manual_seed(0)
    model = YOLO("yolov8n.yaml", verbose=False)
    model.model = type(model.model)("yolov8n.yaml", nc=1, verbose=False)
    model.save(str(folder / "detector.pt"))
    export_bundle(folder / "detector.pt", load(ENGLISH_G2), folder / "bundle")
    return folder / "bundle"


def test_an_exported_bundle_is_verified_and_runs(bundle):
    networks = Networks(ModelsConfig(bundle=bundle))
    picture = ArrayPicture(np.full((360, 640, 3), 127, np.uint8))
    assert isinstance(networks.detector().detect(picture), list)


def test_a_network_that_answers_otherwise_is_refused(tmp_path):
    same = np.zeros((1, 5, 9), np.float32)
    check_equal(tmp_path, same, same, tolerance=1e-3)
    with pytest.raises(TrainError, match=r"differs from torch by 0.002"):
        check_equal(tmp_path, same, same + np.float32(0.002), tolerance=1e-3)


def test_the_exported_reader_reads_clean_print(bundle):
    image = np.full((64, 400, 3), 240, np.uint8)
    cv2.putText(image, "HX4 7TKE", (12, 50), cv2.FONT_HERSHEY_SIMPLEX, 1.9, (20, 20, 20), 4)
    reader = Networks(ModelsConfig(bundle=bundle)).reader()
    (read,) = reader.read(ArrayPicture(image), [(0.0, 0.0, 400.0, 64.0)])
    assert slots_text(read.probabilities) == "HX47TKE"
