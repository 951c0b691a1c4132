"""Labels live as long as what the event itself says."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from plateid.core.lists import Entry
from plateid.core.records import ListMatch, Snapshot
from plateid.web.labels import Label, Labels, training_files
from tests.events.samples import event

BOX = (1.0, 2.0, 30.0, 12.0)
SHOT = Snapshot("2026/11/24/01939d2c-1a2b-7c3d-8e4f-5a6b7c8d9e0f.jpg", "0" * 64)


@pytest.fixture
def labels(box):
    return Labels(box.config.store.path)


def labelled(box, labels):
    made = json.loads(box.store.history(1)[0])
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


def test_a_picture_that_is_gone_is_left_out(box, labels):
    made = labelled(box, labels)
    (box.folder / "plateid-snapshots" / made["snapshot"]["file"]).unlink()
    files = dict(training_files(labels.all(), box.config.store.path))
    assert files == {"labels.csv": b"image,x1,y1,x2,y2,text,legibility\n"}
