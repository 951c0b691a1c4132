"""The page "Review", and the export of labels."""

import csv
import io
import urllib.request
import zipfile
from dataclasses import replace

import pytest
from selenium.webdriver import Keys

from plateid.store.labels import Labels
from plateid.store.snapshot_files import SnapshotFiles
from plateid.store.snapshots import encoded
from tests.support.broker import until
from tests.support.samples import event
from tests.web.browser import find, images_loaded, press, texts, wait
from train.dataset.formats import read_labels


def test_labels_are_given_by_keys_and_exported_for_training(device, browser, scene):
    browser.get(f"{device.address}/review")
    wait(browser, lambda: images_loaded(browser))
    field = find(browser, "[name=text]")
    read = field.get_attribute("value")
    press(browser, Keys.ALT, Keys.ARROW_RIGHT)
    field.send_keys("NEW123", Keys.ENTER)
    wait(browser, lambda: texts(browser, "#label-counts dd")[:1] == ["1"])
    press(browser, Keys.ALT, "n")
    wait(browser, lambda: texts(browser, "#label-counts dd") == ["1", "0", "1", "0"])
    for key, skipped in (("s", "1"), ("z", "0"), ("s", "1")):
        press(browser, Keys.ALT, key)
        wait(browser, lambda n=skipped: texts(browser, "#label-counts dd") == ["1", "0", "1", n])
    archive = download(device, "/review/labels.zip")
    rows = list(csv.DictReader(io.StringIO(archive.read("labels.csv").decode())))
    assert sorted(row["text"] for row in rows) == ["", "NEW123"]
    (plate,) = (row for row in rows if row["text"])
    boxes = {plate.text: plate.box for plate in scene[1]}
    assert float(plate["x1"]) == pytest.approx(boxes[read][0] + 1, abs=0.2)
    (other,) = (row for row in rows if not row["text"])
    assert other["x1"] == ""
    assert {f"images/{row['image']}" for row in rows} < set(archive.namelist())
    for path in (
        "/review/labels.zip",
        "/review/labels.zip?format=yolo",
        "/api/v1/labels.zip?format=coco",
    ):
        folder, problems = device.folder / path[-4:], []
        download(device, path).extractall(folder)
        labelled = read_labels(folder, problems)
        assert problems == []
        assert sorted(len(each.boxes) for each in labelled) == [0, 1]
        assert all(each.path.is_file() for each in labelled)


@pytest.mark.parametrize("size", [(1280, 720), (640, 360), (333, 187)])
def test_review_shows_and_stores_the_box_in_a_snapshot_of_any_size(device, browser, scene, size):
    image, (plate, *_) = scene[0].image, scene[1]
    made = event(1, plate=plate.text, box=plate.box, confidence=0.1, camera="drive")
    made = replace(made, pass_id=made.id, char_confidences=(0.1,) * len(plate.text))
    snapshots = SnapshotFiles(device.config.store.path)
    kept = snapshots.add(made.id, encoded(image.resized(*size), 90), hidden=False)
    frame = image.width, image.height
    device.store.append(replace(made, snapshot=replace(kept, frame=frame)))
    browser.get(f"{device.address}/review")
    expected = [value * size[0] / frame[0] for value in plate.box]
    shown = find(browser, "[name=box]").get_attribute("value")
    assert [float(value) for value in shown.split(",")] == pytest.approx(expected, abs=0.6)
    find(browser, "[name=text]").send_keys(Keys.ENTER)
    until(lambda: Labels(device.config.store.path).all(), 10)
    ((label, _),) = Labels(device.config.store.path).all()
    assert label.box == pytest.approx(expected, abs=0.6)


def download(device, path):
    with urllib.request.urlopen(device.address + path) as answer:  # noqa: S310 - loopback
        return zipfile.ZipFile(io.BytesIO(answer.read()))
