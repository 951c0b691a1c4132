"""Labels: the order of the tasks, and that labels live no longer than their events."""

import json
from dataclasses import replace

import pytest

from plateid.core.lists import ListEntry
from plateid.core.records import ListMatch, Snapshot
from plateid.errors import StoreError
from plateid.store.label_export import training_files
from plateid.store.labels import Label, Labels
from plateid.store.purge import Purge
from plateid.store.snapshot_files import SnapshotFiles
from tests.support.histories import deliver_all, retention
from tests.support.samples import SEEN, event

BOX = (1.0, 2.0, 30.0, 12.0)
SHOT = Snapshot("2026/11/24/01939d2c-1a2b-7c3d-8e4f-5a6b7c8d9e0f.jpg", "0" * 64)


@pytest.fixture
def labels(store):
    """The labels of a store with one labelled event."""
    store.append(SEEN)
    labels = Labels(store.path)
    labels.add(Label(SEEN.id, "plate", "NEW123", BOX))
    ((label, stored),) = labels.all()
    assert (label.text, stored["id"]) == ("NEW123", SEEN.id)
    return labels


@pytest.mark.parametrize("rule", ["hash", "drop"])
def test_label_goes_with_its_plate_without_the_web_server(store, labels, rule):
    deliver_all(store)
    retention(store, unlisted=rule).finish()
    assert b"NEW123" not in labels.path.read_bytes()
    assert labels.all() == []


def test_label_goes_with_its_event(store, labels):
    Purge(store.path).plate(SEEN.plate)
    assert b"NEW123" not in labels.path.read_bytes()


def test_retention_makes_no_file_for_labels(store):
    retention(store, unlisted="drop").finish()
    assert not Labels(store.path).path.exists()


def test_most_useful_tasks_come_first_and_each_says_why(store):
    sure = replace(SEEN, snapshot=SHOT, confidence=0.99, reads=5, agreeing_reads=5)
    for changes in (
        {"plate": "AAAAAA"},
        {"plate": "BBBBBB", "confidence": 0.2},
        {"plate": "CCCCCC", "agreeing_reads": 1},
        {"plate": "DDDDDD", "region": None},
        {"plate": "KX73LPM"},
        {"plate": "KX73LP4", "list": ListMatch("Ana", "allow", 1)},
        {"plate": "EEEEEE", "snapshot": None},
    ):
        id_ = event(1).id
        store.append(replace(sure, id=id_, pass_id=id_, **changes))
    store.append(replace(sure, id=event(1).id, pass_id=id_, plate="0" * 32))
    store.rows("UPDATE event SET plate_form = 'hashed' WHERE plate = ?", "0" * 32)
    tasks = Labels(store.path).tasks([ListEntry("KX73LPH", "allow", "Ana")])
    assert [(task.event["plate"], task.why) for task in tasks] == [
        ("BBBBBB", "low confidence"),
        ("KX73LPM", "nearly listed"),
        ("CCCCCC", "frames disagree"),
        ("KX73LP4", "listed, but not exactly"),
        ("DDDDDD", "no country issues it"),
        ("AAAAAA", "low confidence"),
    ]


def test_label_without_its_snapshot_is_not_exported(store, labels):
    snapshot = SnapshotFiles(store.path).add(SEEN.id, b"", hidden=False)
    payload = json.dumps(json.loads(SEEN.to_json()) | {"snapshot": vars(snapshot)})
    store.rows("UPDATE event SET payload = ?", payload)
    (SnapshotFiles(store.path).folder / snapshot.file).unlink()
    files = dict(training_files(labels.all(), store.path))
    assert files == {"labels.csv": b"image,x1,y1,x2,y2,text,legibility\n"}


def test_symbolic_link_in_place_of_the_labels_is_an_error(store, tmp_path):
    labels, other = Labels(store.path), tmp_path / "other"
    other.touch(0o644)
    labels.path.symlink_to(other)
    with pytest.raises(StoreError, match=r"labels: Too many levels of symbolic links"):
        labels.forget()
