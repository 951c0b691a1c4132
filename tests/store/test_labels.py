"""Labels: the order of the tasks, and that labels live no longer than their events."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from plateid.core.lists import ListEntry
from plateid.core.records import ListMatch, Snapshot
from plateid.errors import StoreError
from plateid.store.label_export import training_files
from plateid.store.labels import Label, Labels
from plateid.store.purge import Purge
from plateid.store.side_file import LabelFile
from plateid.store.snapshot_files import SnapshotFiles
from tests.support.histories import deliver_all, retention
from tests.support.samples import NOON, SEEN, event

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
    assert b"NEW123" not in LabelFile(store.path).path.read_bytes()
    assert labels.all() == []


@pytest.mark.usefixtures("labels")
def test_label_goes_with_its_event(store):
    Purge(store.path).plate(SEEN.plate)
    assert b"NEW123" not in LabelFile(store.path).path.read_bytes()


def test_retention_makes_no_file_for_labels(store):
    retention(store, unlisted="drop").finish()
    assert not LabelFile(store.path).path.exists()


def test_most_useful_tasks_come_first_and_each_says_why(store):
    sure = replace(SEEN, snapshot=SHOT, confidence=0.99, reads=5, agreeing_reads=5)
    for changes in (
        {"plate": "AAAAAA"},
        {"plate": "BBBBBB", "confidence": 0.2},
        {"plate": "CCCCCC", "agreeing_reads": 1},
        {"plate": "DDDDDD", "region": None},
        {"plate": "KX73LPM"},
        {"plate": "RR55TTX", "list": ListMatch("Ana", "allow", 1)},
        {"plate": "EEEEEE", "snapshot": None},
    ):
        id_ = event(1).id
        shot = {"snapshot": replace(SHOT, sha256=id_)}
        store.append(replace(sure, id=id_, pass_id=id_, **shot | changes))
    store.append(replace(sure, id=event(1).id, pass_id=id_, plate="0" * 32))
    store.rows("UPDATE event SET plate_form = 'hashed' WHERE plate = ?", "0" * 32)
    tasks = Labels(store.path).tasks([ListEntry("KX73LPH", "allow", "Ana")])
    assert [(task.event["plate"], task.why) for task in tasks] == [
        ("BBBBBB", "low confidence"),
        ("KX73LPM", "nearly listed"),
        ("CCCCCC", "frames disagree"),
        ("RR55TTX", "listed, but not exactly"),
        ("DDDDDD", "no country issues it"),
        ("AAAAAA", "low confidence"),
    ]


def add_passes(store, *reads, **changes):
    """Adds a pass for each plate and confidence."""
    for plate, confidence in reads:
        id_ = event(1).id
        shot = replace(SHOT, sha256=id_)
        made = {"plate": plate, "confidence": confidence, "snapshot": shot} | changes
        store.append(replace(SEEN, id=id_, pass_id=id_, agreeing_reads=7, **made))


def plates_of_tasks(store):
    return [task.event["plate"] for task in Labels(store.path).tasks([])]


def test_vehicle_is_offered_once_despite_misread_characters(store):
    add_passes(store, ("B68SPK", 0.3), ("B685PK", 0.2), ("B6BSPK", 0.4), ("B8SPK", 0.5))
    add_passes(store, ("KX73LPH", 0.6), ("KX78LPM", 0.7), ("CJ12ABC", 0.8))
    assert plates_of_tasks(store) == ["B685PK", "KX73LPH", "CJ12ABC"]


def test_vehicle_with_two_other_characters_is_offered_again_an_hour_later(store):
    add_passes(store, ("KX73LPH", 0.6))
    add_passes(store, ("KX78LPM", 0.7), first_seen=NOON + timedelta(hours=1))
    assert plates_of_tasks(store) == ["KX73LPH", "KX78LPM"]


def test_identical_image_is_offered_once_however_it_was_read(store):
    add_passes(store, ("B68SPK", 0.3), ("ZZ99XY", 0.2), snapshot=SHOT)
    assert plates_of_tasks(store) == ["ZZ99XY"]


@pytest.mark.parametrize("text", ["B68SPK", "ZZ99XY"])
def test_labelled_vehicle_is_not_offered_again(store, text):
    add_passes(store, ("B68SPK", 0.3), ("CJ12ABC", 0.9), ("B685PK", 0.2))
    labels = Labels(store.path)
    labels.add(Label(labels.tasks([])[0].event["id"], "plate", text, BOX))
    assert plates_of_tasks(store) == ["CJ12ABC"]


def test_plates_of_unlabelled_formats_come_first(store):
    add_passes(store, ("KX73LPH", 0.1), ("RR55TTX", 0.5), ("B68SPK", 0.6), ("9ABC123", 0.99))
    labels = Labels(store.path)
    labels.add(Label(labels.tasks([])[0].event["id"], "plate", "KX73LPH", BOX))
    tasks = labels.tasks([])
    assert [task.event["plate"] for task in tasks] == ["RR55TTX", "B68SPK", "9ABC123"]
    assert tasks[-1].why == "first label of this format"


def test_label_without_its_snapshot_is_not_exported(store, labels):
    snapshot = SnapshotFiles(store.path).add(SEEN.id, b"", hidden=False)
    payload = json.dumps(json.loads(SEEN.to_json()) | {"snapshot": vars(snapshot)})
    store.rows("UPDATE event SET payload = ?", payload)
    (SnapshotFiles(store.path).folder / snapshot.file).unlink()
    files = dict(training_files(labels.images()))
    assert files == {"labels.csv": b"image,x1,y1,x2,y2,text,legibility\n"}


def test_symbolic_link_in_place_of_the_labels_is_an_error(store, tmp_path):
    file, other = LabelFile(store.path), tmp_path / "other"
    other.touch(0o644)
    file.path.symlink_to(other)
    with pytest.raises(StoreError, match=r"labels: Too many levels of symbolic links"):
        file.forget()
