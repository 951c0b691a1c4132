"""The page "Review", and the export of labels."""

import csv
import io
import urllib.request
import zipfile

import pytest
from selenium.webdriver import Keys

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
    press(browser, Keys.ALT, "s")
    wait(browser, lambda: texts(browser, "#label-counts dd") == ["1", "0", "1", "1"])
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


def download(device, path):
    with urllib.request.urlopen(device.address + path) as answer:  # noqa: S310 - loopback
        return zipfile.ZipFile(io.BytesIO(answer.read()))
