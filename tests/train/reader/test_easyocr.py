"""EasyOCR in place of the bundle's reader, as the device runs it where the extra is installed."""

from pathlib import Path

import cv2
import easyocr_en_models
import numpy as np
import pytest

from plateid.config.cameras import EventsConfig
from plateid.config.models import ModelsConfig
from plateid.core.reading import single_reading
from plateid.errors import ModelError
from plateid.models.easyocr_reader import NAME
from plateid.models.networks import Networks
from tests.support.images import ArrayLazyImage, plain

WEIGHTS = Path(easyocr_en_models.__file__).parent / "models"


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks(ModelsConfig(reader="easyocr", easyocr_folder=WEIGHTS))


def lettering(text: str) -> ArrayLazyImage:
    image = np.full((48, 30 * len(text), 3), 235, np.uint8)
    cv2.putText(image, text, (8, 38), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (20, 20, 20), 3)
    return ArrayLazyImage(image)


def whole(picture: ArrayLazyImage) -> tuple[float, float, float, float]:
    return (0.0, 0.0, float(picture.width), float(picture.height))


def test_clean_lettering_is_read(networks):
    picture = lettering("KX73LPH")
    (read,) = networks.reader().read(picture, [whole(picture)])
    assert single_reading(read).plate == "KX73LPH"
    assert read.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-3)
    assert read.height == 48


def test_each_box_is_read_in_order(networks):
    assert networks.reader().read(plain(), []) == []
    both = ArrayLazyImage(np.vstack([lettering("AB12").image, lettering("CD34").image]))
    reads = networks.reader().read(both, [(0, 48, 120, 96), (0, 0, 120, 48)])
    assert [single_reading(read).plate for read in reads] == ["CD34", "AB12"]


@pytest.mark.parametrize("size", [(1, 1), (1, 60), (2000, 2), (100, 25)])
@pytest.mark.parametrize("level", [0, 255])
def test_a_crop_of_one_colour_is_not_published(networks, size, level):
    picture = plain(*size, level=level)
    (read,) = networks.reader().read(picture, [whole(picture)])
    assert single_reading(read).confidence < EventsConfig().min_confidence


def test_its_name_is_published_and_it_is_what_the_self_test_runs(networks, monkeypatch):
    assert networks.names.reader == NAME
    monkeypatch.setattr(networks, "reader_session", None)
    assert min(networks.self_test(runs=2)) > 0


def test_a_folder_without_weights_or_with_others_is_named(tmp_path):
    def start(folder: Path) -> None:
        Networks(ModelsConfig(reader="easyocr", easyocr_folder=folder))

    with pytest.raises(ModelError, match="nowhere: No such directory"):
        start(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"has no weights: Missing .*english_g2.pth"):
        start(tmp_path)
    (tmp_path / "english_g2.pth").write_bytes(b"altered")
    with pytest.raises(ModelError, match=r"has no weights: MD5 mismatch"):
        start(tmp_path)
