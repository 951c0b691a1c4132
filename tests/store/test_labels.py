"""Labels live as long as what the event itself says."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from selenium.webdriver import Keys
from selenium.webdriver.common.by import By

from plateid.core.lists import Entry
from plateid.core.records import ListMatch, Snapshot
from plateid.errors import StoreError
from plateid.store.label_export import training_files
from plateid.store.labels import Label, Labels
from plateid.store.snapshot_files import SnapshotFiles
from plateid.store.snapshots import encoded
from tests.support.broker import until
from tests.support.samples import event, payloads

BOX = (1.0, 2.0, 30.0, 12.0)
SHOT = Snapshot("2026/11/24/01939d2c-1a2b-7c3d-8e4f-5a6b7c8d9e0f.jpg", "0" * 64)


@pytest.fixture
def labels(box):
    return Labels(box.config.store.path)


def labelled(box, labels):
    made = json.loads(payloads(box.store)[0])
    labels.add(Label(made["id"], "plate", "NEW123", BOX))
    assert [label.text for label, _ in labels.all()] == ["NEW123"]
    return made


@pytest.mark.parametrize("plate", ["", "0123456789ABCDEF0123456789ABCDEF"])
def test_a_label_goes_when_the_plate_is_not_kept_any_more(box, labels, plate):
    made = labelled(box, labels)
    payload = json.dumps(made | {"plate": plate, "char_confidences": []})
    with box.store.transaction() as db:
        change = "UPDATE event SET plate = ?, payload = ? WHERE id = ?"
        db.execute(change, (plate, payload, made["id"]))
    labels.forget()
    assert b"NEW123" not in labels.path.read_bytes()
    assert labels.all() == []


def test_a_purge_takes_labels_along(box, labels):
    made = labelled(box, labels)
    command = [sys.executable, "-m", "plateid", "events", "purge", "--plate", made["plate"]]
    done = subprocess.run(command, cwd=box.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"NEW123" not in labels.path.read_bytes()


def test_the_most_useful_come_first_and_each_says_why(box, labels):
    sure = replace(event(1), snapshot=SHOT, confidence=0.99, reads=5, agreeing_reads=5)
    for changes in (
        {"plate": "AAAAAA"},
        {"plate": "BBBBBB", "confidence": 0.2},
        {"plate": "CCCCCC", "agreeing_reads": 1},
        {"plate": "DDDDDD", "region": None},
        {"plate": "KX73LPM"},
        {"plate": "KX73LP4", "list": ListMatch("Ana", "allow", 1)},
    ):
        made = event(1)
        length = len(changes["plate"])
        changes |= {"id": made.id, "pass_id": made.id, "char_confidences": (0.9,) * length}
        box.store.append(replace(sure, **changes))
    tasks = labels.tasks([Entry("KX73LPH", "allow", "Ana")])
    found = [(task.event["plate"], task.why) for task in tasks if task.event["camera"] == "gate"]
    assert found == [
        ("BBBBBB", "low confidence"),
        ("KX73LPM", "nearly listed"),
        ("CCCCCC", "frames disagree"),
        ("KX73LP4", "listed, but not exactly"),
        ("DDDDDD", "no country issues it"),
        ("AAAAAA", "low confidence"),
    ]


@pytest.mark.parametrize("size", [(1280, 720), (640, 360), (333, 187)])
def test_the_box_is_right_in_a_picture_of_any_size(box, browser, scene, size):
    """Where the frame is larger, the page shows the box where the plate is, and keeps it so."""
    image, (plate, *_) = scene[0].image, scene[1]
    made = event(1, plate=plate.text, box=plate.box, confidence=0.1, camera="drive")
    made = replace(made, pass_id=made.id, char_confidences=(0.1,) * len(plate.text))
    album = SnapshotFiles(box.config.store.path)
    kept = album.add(made.id, encoded(image.resized(*size), 90), hidden=False)
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


def test_a_picture_that_is_gone_is_left_out(box, labels):
    made = labelled(box, labels)
    (box.folder / "plateid-snapshots" / made["snapshot"]["file"]).unlink()
    files = dict(training_files(labels.all(), box.config.store.path))
    assert files == {"labels.csv": b"image,x1,y1,x2,y2,text,legibility\n"}


def test_labels_follow_no_link(labels, tmp_path):
    other = tmp_path / "other"
    other.touch(0o644)
    labels.path.symlink_to(other)
    with pytest.raises(StoreError, match=r"labels: Too many levels of symbolic links"):
        labels.forget()
