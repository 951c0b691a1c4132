"""Self-labels: which crops get one, that they are bounded, and that they go with their events."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from plateid.config.storage import PrivacyConfig
from plateid.core.records import PlateCrop
from plateid.store.labels import Label, Labels
from plateid.store.purge import Purge
from plateid.store.self_labels import SelfLabels, self_label_files
from plateid.store.side_file import LabelFile
from tests.support.histories import deliver_all, id_at, retention
from tests.support.samples import SEEN, event
from train.dataset.formats import read_labels

SURE = replace(SEEN, event_type="plate_left", box=(0.0, 0.0, 100.0, 20.0))
CROP = PlateCrop(np.full((20, 60, 3), 90, np.uint8), (15.0, 5.0, 45.0, 15.0), "B68SPK", 10.0, 0.5)


@pytest.fixture
def labelled(store):
    """Stores an event and its crops; returns the rows of the exported labels."""

    def labelled(made, *crops, **settings):
        labels = SelfLabels(PrivacyConfig(self_labels=True, **settings), store.path)
        store.append(made)
        labels.take(made, crops)
        labels.check()
        return rows(store)

    return labelled


def rows(store):
    files = dict(self_label_files(store.path))
    return list(csv.DictReader(io.StringIO(files["labels.csv"].decode())))


def test_small_crops_of_a_sure_pass_are_labelled_and_read_by_the_trainer(store, labelled, tmp_path):
    (row,) = labelled(SURE, CROP)
    assert (row["text"], row["x1"], row["y2"]) == ("B68SPK", "15.0", "15.0")
    for name, data in self_label_files(store.path):
        file = tmp_path / "set" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    problems = []
    (image,) = read_labels(tmp_path / "set", problems)
    assert (problems, image.path.is_file()) == ([], True)
    assert [(box.text, box.xyxy) for box in image.boxes] == [("B68SPK", CROP.box)]


@pytest.mark.parametrize(
    ("given", "is_exported"),
    [
        (("plate", "B68SPK"), True),
        (("skip", ""), True),
        (("plate", "B68SPX"), False),
        (("notplate", ""), False),
    ],
)
def test_self_label_that_a_person_contradicts_is_not_exported(store, labelled, given, is_exported):
    labelled(SURE, CROP)
    Labels(store.path).add(Label(SURE.id, *given, SURE.box))
    assert bool(rows(store)) is is_exported


@pytest.mark.parametrize(
    "changes",
    [{"confidence": 0.96}, {"agreeing_reads": 1}, {"region": None}],
)
def test_pass_that_is_not_sure_labels_nothing(labelled, changes):
    assert labelled(replace(SURE, **changes), CROP) == []


@pytest.mark.parametrize(
    ("changes", "is_labelled"),
    [
        ({"height": 18.0}, False),  # nothing to learn
        ({"height": 18.0, "text": "B685PK"}, True),
        ({"height": 18.0, "sharpness": 0.05}, True),
        ({"text": "B6"}, False),
        ({"text": "CJ12ABC"}, False),  # another vehicle
    ],
)
def test_crop_is_labelled_if_it_is_hard_to_read_and_of_the_same_vehicle(
    labelled, changes, is_labelled
):
    assert bool(labelled(SURE, replace(CROP, **changes))) is is_labelled


@pytest.mark.parametrize("rule", ["hash", "drop"])
def test_plate_that_is_not_kept_labels_nothing(labelled, rule):
    assert labelled(SURE, CROP, unlisted=rule) == []


def test_oldest_self_labels_go_beyond_their_number_or_size(store):
    labels = SelfLabels(PrivacyConfig(self_labels=True, self_labels_max=3), store.path)
    noise = np.random.default_rng(1).integers(0, 255, (300, 900, 3), np.uint8)
    for number in range(5):
        made = replace(SURE, id=event(1).id, plate=f"B{number}0ABC")
        store.append(made)
        labels.take(made, [replace(CROP, text=made.plate, image=noise)])
        labels.check()
    assert [row["text"] for row in rows(store)] == ["B20ABC", "B30ABC", "B40ABC"]
    small = SelfLabels(PrivacyConfig(self_labels=True, self_labels_mb=1.0), store.path)
    small.take(made, [replace(CROP, text=made.plate, image=noise)])
    small.check()
    assert 1 < len(rows(store)) < 4
    held = sum(len(data) for name, data in self_label_files(store.path) if name != "labels.csv")
    assert held <= 1e6


def test_self_labels_go_with_a_purged_redacted_or_old_event(store, labelled):
    assert len(labelled(SURE, CROP)) == 1
    Purge(store.path).plate(SURE.plate)
    assert rows(store) == []
    assert b"B68SPK" not in LabelFile(store.path).path.read_bytes()
    assert len(labelled(SURE, CROP)) == 1
    deliver_all(store)
    retention(store, unlisted="drop").finish()
    assert b"B68SPK" not in LabelFile(store.path).path.read_bytes()
    old = replace(SURE, id=id_at(1_600_000_000.0))
    assert len(labelled(old, CROP)) == 1
    deliver_all(store)
    keeper = retention(store, events_days=30.0)
    keeper.check()
    keeper.finish()
    assert rows(store) == []


def test_self_labels_wait_while_the_disk_fails(store, tmp_path):
    labels = SelfLabels(PrivacyConfig(self_labels=True), store.path)
    store.append(SURE)
    blocker = LabelFile(store.path).path
    blocker.symlink_to(tmp_path / "nowhere")
    labels.take(SURE, [CROP])
    labels.check()
    blocker.unlink()
    labels._outage.recovered()
    labels.check()
    assert len(rows(store)) == 1
