"""The page "Review" in Chromium."""

from dataclasses import replace

import pytest
from selenium.webdriver import Keys
from selenium.webdriver.common.by import By

from plateid.store.labels import Labels
from plateid.store.snapshot_files import SnapshotFiles
from plateid.store.snapshots import encoded
from tests.support.broker import until
from tests.support.samples import event


@pytest.mark.parametrize("size", [(1280, 720), (640, 360), (333, 187)])
def test_review_shows_and_stores_the_box_in_a_snapshot_of_any_size(box, browser, scene, size):
    image, (plate, *_) = scene[0].image, scene[1]
    made = event(1, plate=plate.text, box=plate.box, confidence=0.1, camera="drive")
    made = replace(made, pass_id=made.id, char_confidences=(0.1,) * len(plate.text))
    snapshots = SnapshotFiles(box.config.store.path)
    kept = snapshots.add(made.id, encoded(image.resized(*size), 90), hidden=False)
    frame = image.width, image.height
    box.store.append(replace(made, snapshot=replace(kept, frame=frame)))
    browser.get(f"{box.address}/review")
    expected = [value * size[0] / frame[0] for value in plate.box]
    shown = browser.find_element(By.NAME, "box").get_attribute("value")
    assert [float(value) for value in shown.split(",")] == pytest.approx(expected, abs=0.6)
    browser.find_element(By.NAME, "text").send_keys(Keys.ENTER)
    until(lambda: Labels(box.config.store.path).all(), 10)
    ((label, _),) = Labels(box.config.store.path).all()
    assert label.box == pytest.approx(expected, abs=0.6)
