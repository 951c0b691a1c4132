"""Trains a reader on labels exported from the web UI."""

import io
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from plateid.capture.images import ArrayImage
from plateid.config.models import ModelsConfig
from plateid.models.networks import Networks
from plateid.store.event_store import EventStore
from plateid.store.label_export import GREY, training_files
from plateid.store.labels import Label, Labels
from plateid.store.snapshot_files import SnapshotFiles
from tests.support.samples import event
from train.__main__ import main
from train.dataset.splits import load_split
from train.reader.real_plates import read_plates

BOX = (60.0, 40.0, 180.0, 70.0)
PLATES = 20


@pytest.fixture
def corrections(tmp_path: Path) -> Labels:
    """Labels of twenty plates and of two boxes without a plate."""
    store_file, rng = tmp_path / "plateid.sqlite3", np.random.default_rng(0)
    files, labels = SnapshotFiles(store_file), Labels(store_file)
    with closing(EventStore(store_file)) as store:
        for number in range(PLATES + 2):
            picture = rng.integers(0, 255, (120, 600, 3)).astype(np.uint8)
            cv2.putText(picture, f"AB{number:02d}", (65, 65), cv2.FONT_HERSHEY_PLAIN, 2, (0, 0, 0))
            made = event(number)
            jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
            store.append(replace(made, snapshot=files.add(made.id, jpeg, hidden=False)))
            is_plate = number < PLATES
            text, verdict = (f"AB{number:02d}", "plate") if is_plate else ("", "notplate")
            labels.add(Label(made.id, verdict, text, BOX))
    return labels


def unpacked(labels: Labels, form: str, folder: Path) -> Path:
    """Extracts the files of an export into `folder`."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in training_files(labels.images(), form):
            archive.writestr(name, content)
        archive.extractall(folder)
    return folder


@pytest.mark.parametrize("form", ["csv", "yolo", "coco"])
def test_each_export_format_keeps_the_boxes(corrections, tmp_path, form):
    (train, held_out), _ = load_split([unpacked(corrections, form, tmp_path / form)])
    images = [*train, *held_out]
    assert len(images) == PLATES + 2
    boxes = [box for image in images for box in image.boxes]
    assert len(boxes) == PLATES
    assert np.abs(np.array(boxes) - BOX).max() < 0.2


def test_area_around_the_labels_is_grey(corrections, tmp_path):
    folder = unpacked(corrections, "yolo", tmp_path / "yolo")
    x1, y1, x2, y2 = (round(value) for value in BOX)
    for file in (folder / "images").iterdir():
        image = cv2.imread(str(file))
        far = image[:, x2 + round(2.1 * (x2 - x1)) :]
        assert np.abs(far.astype(int) - GREY).max() < 20
        assert image[y1:y2, x1:x2].std() > 20


@pytest.mark.filterwarnings("ignore")
def test_twenty_labels_make_a_bundle_by_hand(corrections, tmp_path):
    folder = unpacked(corrections, "csv", tmp_path / "my-plates")
    train, val = read_plates([folder])
    assert sorted(each.text for each in train + val) == [f"AB{n:02d}" for n in range(PLATES)]
    commands = (
        "reader --data my-plates --base default --minutes 0.01 --batch 4",
        "export --reader runs/reader/last.pt --average-with default --out my-bundle",
    )
    runner = CliRunner()
    with runner.isolated_filesystem(tmp_path) as here:
        folder.rename(Path(here) / "my-plates")
        for command in commands:
            done = runner.invoke(main, command.split(), catch_exceptions=False)
            assert done.exit_code == 0, done.output
        reader = Networks(ModelsConfig(bundle=Path("my-bundle"))).reader()
        (read,) = reader.read(ArrayImage(np.full((120, 240, 3), 127, np.uint8)), [BOX])
        assert np.allclose(read.probabilities.sum(axis=1), 1, atol=1e-3)
