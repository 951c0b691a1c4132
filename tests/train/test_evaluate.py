from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.bundles import detector_network, reader_network, write_bundle
from train.errors import TrainError
from train.evaluate import evaluate, fold


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Finds one plate in the middle of a picture and reads it as AO12."""
    detector = detector_network([(32, 16, 20, 8, 0.9)])
    return write_bundle(tmp_path / "bundle", detector, reader_network("AA-O-1-2"))


def folder(path: Path, *rows: str) -> Path:
    (path / "images").mkdir(parents=True)
    cv2.imwrite(str(path / "images" / "a.png"), np.zeros((320, 640, 3), np.uint8))
    (path / "labels.csv").write_text("\n".join(["image,x1,y1,x2,y2,text", *rows]))
    return path


def test_found_exact_and_folded_are_shares_of_the_labelled_plates(tmp_path, tiny):
    data = folder(
        tmp_path / "data",
        "a.png,220,120,420,200,AO12",
        "a.png,220,120,420,200,A012",
        "a.png,220,120,420,200,XX99",
        "a.png,0,0,50,20,AO12",
    )
    score = evaluate(data, tiny)
    assert (score.plates, score.found, score.exact, score.folded) == (4, 0.75, 0.25, 0.5)
    assert score.mean_iou == pytest.approx(1.0, abs=1e-3)


def test_a_folder_without_labels_or_texts_is_named(tmp_path, tiny):
    with pytest.raises(TrainError, match=r"labels.csv: no such file"):
        evaluate(tmp_path, tiny)
    with pytest.raises(TrainError, match=r"labels.csv: no plate with a text"):
        evaluate(folder(tmp_path / "data", "a.png,,,,,"), tiny)


def test_fold_makes_one_of_what_looks_alike():
    assert fold("OI0178") == "010178"
