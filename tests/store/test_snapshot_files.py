"""The files of snapshots: names, deletion with their events, and the sweep."""

import hashlib
import itertools
import shutil
import time
from collections import deque
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from plateid.config.storage import RetentionConfig
from plateid.core.drawing import encode_jpeg
from plateid.core.ids import uuid7
from plateid.errors import StoreError
from plateid.store import snapshot_files
from plateid.store.event_store import EventStore
from plateid.store.purge import Purge
from plateid.store.snapshot_files import SnapshotFiles, SnapshotSweep, decode_image, make_room
from tests.support.broken_disk import full_disk
from tests.support.histories import DAY_S, deliver_all, id_at, retention
from tests.support.samples import NOON, event

PAST = NOON.replace(year=2024)
JPEG = b"\xff\xd8" + bytes(998)


@pytest.fixture
def files(tmp_path):
    return SnapshotFiles(tmp_path / "events.sqlite3")


def names(files):
    return [file.name for file in files.files()]


def add(files, *ages_days, size=1000):
    """Adds snapshots of these ages in days, and returns their file names."""
    ids = [id_at(time.time() - days * DAY_S) for days in ages_days]
    for id_ in ids:
        files.add(id_, bytes(size), hidden=False)
    return [f"{id_}.jpg" for id_ in ids]


def swept(files, **settings):
    """Sweeps once. Raises StoreError if a file cannot be deleted."""
    sweep = SnapshotSweep(RetentionConfig(**settings), files)
    deque(sweep.steps(), maxlen=0)
    return sweep


def test_file_is_named_by_day_and_event(files, tmp_path):
    id_ = id_at(datetime(2026, 11, 24, 23, 59, 59, tzinfo=UTC).timestamp())
    snapshot = files.add(id_, JPEG, hidden=False)
    assert snapshot.file == f"2026/11/24/{id_}.jpg"
    assert snapshot.sha256 == hashlib.sha256(JPEG).hexdigest()
    assert (tmp_path / "events-snapshots" / snapshot.file).read_bytes() == JPEG


def test_full_disk_leaves_no_part_of_a_file(files):
    with full_disk(), pytest.raises(StoreError, match="events-snapshots: File too large"):
        files.add(uuid7(), JPEG, hidden=False)
    assert [path for path in files.folder.rglob("*") if path.is_file()] == []


def test_file_in_place_of_the_folder_is_an_error(files):
    files.folder.write_text("")
    with pytest.raises(StoreError, match="events-snapshots: Not a directory"):
        files.add(uuid7(), JPEG, hidden=False)
    files.remove([uuid7()])
    files.clear()
    swept(files)


def test_folder_that_cannot_be_written_is_an_error(own_folder):
    own_folder.chmod(0o500)
    with pytest.raises(StoreError, match="events-snapshots: Permission denied"):
        SnapshotFiles(own_folder / "events.sqlite3").add(uuid7(), JPEG, hidden=False)


def test_only_snapshots_of_the_named_events_are_deleted(files):
    one, two, hidden = uuid7(), uuid7(), uuid7()
    for id_ in (one, two, hidden):
        files.add(id_, JPEG, hidden=id_ == hidden)
    files.remove([one, hidden, uuid7()], hidden=False)
    assert names(files) == sorted([f"{two}.jpg", f"{hidden}-hidden.jpg"])
    files.remove([two, hidden])
    assert names(files) == []


@pytest.mark.parametrize(
    "id_", ["", "../../../../passwords", "/etc/passwd", "f" * 36, f"../{'0' * 36}", "é" * 36]
)
def test_id_of_another_form_deletes_no_file(files, tmp_path, id_):
    other = tmp_path / "passwords.jpg"
    other.write_bytes(JPEG)
    files.remove([id_])
    assert other.exists()


def test_old_snapshots_are_deleted_with_their_folders(files):
    added = add(files, 40, 8, 7.01, 6.99, 0)
    assert swept(files, snapshots_days=7).deleted == 3
    assert names(files) == added[3:]
    assert set(files.folder.glob("*/*/*")) == {path.parent for path in files.files()}


def test_oldest_snapshots_are_deleted_if_they_are_too_large(files):
    added = add(files, *(hours / 24 for hours in range(60, 0, -1)), size=50_000)
    sweep = swept(files, snapshots_mb=1)
    assert names(files) == added[40:]
    assert (sweep.deleted, sweep.held_bytes) == (40, 1_000_000)


def test_oldest_snapshots_are_deleted_if_the_disk_is_nearly_full(files, monkeypatch):
    added = add(files, *(hours / 24 for hours in range(9, 0, -1)), size=50_000)
    usage = shutil.disk_usage(files.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=200_000_000 - 120_000))
    assert swept(files).deleted == 3
    assert names(files) == added[3:]


def test_snapshot_from_before_the_clock_was_set_has_no_age_but_is_the_oldest(files):
    unset, _, new = add(files, time.time() / DAY_S, 8, 0, size=600_000)
    swept(files, snapshots_days=7)
    assert names(files) == [unset, new]
    swept(files, snapshots_days=7, snapshots_mb=1)
    assert names(files) == [new]


def test_other_files_stay_and_unfinished_snapshots_go(files):
    (old,) = add(files, 8)
    (day,) = files.folder.glob("*/*/*")
    others = ["notes.txt", old.replace("jpg", "png")]
    for name in (*others, f"{old}.new"):
        (day / name).write_bytes(JPEG)
    swept(files, snapshots_days=7)
    assert sorted(file.name for file in day.iterdir()) == sorted(others)


def test_long_sweep_is_done_in_steps(files):
    add(files, *range(9, 20))
    sweep = SnapshotSweep(RetentionConfig(snapshots_days=7), files)
    steps = sweep.steps()
    deque(itertools.islice(steps, 11), maxlen=0)
    assert len(names(files)) == 11
    deque(steps, maxlen=0)
    assert (sweep.deleted, sweep.held_bytes, names(files)) == (11, 0, [])


def test_full_disk_is_swept_before_the_store_is_opened(files, monkeypatch):
    make_room(RetentionConfig(), files)
    add(files, 0)
    make_room(RetentionConfig(), files)
    assert len(names(files)) == 1
    monkeypatch.setattr(snapshot_files, "MIN_FREE_MB", 1e12)
    make_room(RetentionConfig(), files)
    assert names(files) == []


def test_sweep_that_fails_is_an_error(own_folder):
    files = SnapshotFiles(own_folder / "events.sqlite3")
    add(files, 40)
    (file,) = files.files()
    file.parent.chmod(0o500)
    with pytest.raises(StoreError, match="events-snapshots: Permission denied"):
        swept(files)
    file.parent.chmod(0o700)
    assert file.exists()


def test_snapshot_that_cannot_be_deleted_holds_up_no_other(files):
    add(files, 40, 30, 20, 0)
    paths = list(files.files())
    paths[0].unlink()
    paths[0].mkdir()
    shutil.rmtree(paths[1].parent)
    paths[1].parent.touch()
    with pytest.raises(StoreError, match="directory"):
        swept(files, snapshots_days=7)
    assert [file.exists() for file in paths] == [True, False, False, True]


def stored(store, files, seq, **changes):
    """Stores an event with a snapshot, and returns the name of its file."""
    made = event(seq, **changes)
    store.append(made)
    files.add(made.id, JPEG, hidden=False)
    return f"{made.id}.jpg"


@pytest.mark.parametrize(
    ("purge", "left"),
    [
        (lambda purge: purge.all(), []),
        (lambda purge: purge.plate("B 68 SPK"), [2, 3]),
        (lambda purge: purge.before(PAST + timedelta(days=1)), [1, 3]),
    ],
)
def test_purge_deletes_snapshots_of_its_events(store, files, purge, left):
    other = {"plate_raw": "", "plate_display": "", "candidates": ()}
    added = [
        stored(store, files, 1),
        stored(store, files, 2, plate="B01AAA", first_seen=PAST, **other | {"pass_id": "b"}),
        stored(store, files, 3, plate="B02AAA", **other | {"pass_id": "c"}),
    ]
    purge(Purge(store.path))
    assert names(files) == sorted(added[seq - 1] for seq in left)


def test_purge_deletes_snapshots_of_unknown_events_by_time(store, files):
    _, later = add(files, 40, 30)
    Purge(store.path).before(datetime.fromtimestamp(time.time() - 35 * DAY_S, UTC))
    assert names(files) == [later]
    Purge(store.path).all()
    assert names(files) == []


def test_purge_that_cannot_delete_a_snapshot_deletes_no_event(own_folder):
    with closing(EventStore(own_folder / "events.sqlite3")) as store:
        files = SnapshotFiles(store.path)
        stored(store, files, 1)
        (day,) = files.folder.glob("*/*/*")
        day.chmod(0o500)
        with pytest.raises(StoreError, match="events-snapshots: Permission denied"):
            Purge(store.path).plate("B68SPK")
        with suppress(OSError):
            day.chmod(0o700)
        assert store.counts().events == 1


def test_snapshot_is_deleted_with_its_event(store, files):
    stored(store, files, 1, id=id_at(time.time() - 8 * DAY_S))
    new = stored(store, files, 2)
    deliver_all(store)
    retention(store, events_days=7).check()
    assert names(files) == [new]


def test_redaction_deletes_only_snapshots_that_show_the_plate(store, files):
    stored(store, files, 1)
    made = event(2)
    store.append(made)
    files.add(made.id, JPEG, hidden=True)
    deliver_all(store)
    retention(store, unlisted="drop").check()
    assert names(files) == [f"{made.id}-hidden.jpg"]


@pytest.mark.parametrize("side", [12_000, 65_500])
def test_image_that_says_it_has_too_many_pixels_is_not_decoded(side: int) -> None:
    jpeg = encode_jpeg(np.zeros((16, 16, 3), np.uint8), 90)
    start = jpeg.index(b"\xff\xc0") + 5  # height and width
    assert decode_image(jpeg) is not None
    assert decode_image(jpeg[:start] + side.to_bytes(2) * 2 + jpeg[start + 4 :]) is None
    assert decode_image(b"") is None
