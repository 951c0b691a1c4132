"""Pictures on disk: names, deletion by event, and the sweep."""

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from plateid.config.storage import PrivacyConfig, RetentionConfig
from plateid.core.ids import first_id, uuid7
from plateid.errors import StoreError
from plateid.store import snapshot_files as album_module
from plateid.store.event_store import EventStore
from plateid.store.privacy import Privacy
from plateid.store.purge import Purge
from plateid.store.retention import Retention
from plateid.store.snapshot_files import SnapshotFiles, Sweep, make_room
from tests.support.broken_disk import full_disk
from tests.support.samples import NOON, Logs, event, outbox_of, said

DAY_S = 86400
PAST = NOON.replace(year=2024)
JPEG = b"\xff\xd8" + bytes(998)


@pytest.fixture
def album(tmp_path: Path) -> SnapshotFiles:
    return SnapshotFiles(tmp_path / "events.sqlite3")


def made_at(moment: float) -> str:
    return first_id(moment) + "-7abc-8abc-" + os.urandom(6).hex()


def names(album: SnapshotFiles) -> list[str]:
    return [file.name for file in album.files()]


def swept(album: SnapshotFiles, **settings: Any) -> Sweep:
    sweep = Sweep(RetentionConfig(**settings), album)
    sweep.check()
    return sweep


def test_a_picture_has_a_name_by_day_and_event_and_a_hash(
    album: SnapshotFiles, tmp_path: Path
) -> None:
    id_ = made_at(datetime(2026, 11, 24, 23, 59, 59, tzinfo=UTC).timestamp())
    snapshot = album.add(id_, JPEG, hidden=False)
    assert snapshot.file == f"2026/11/24/{id_}.jpg"
    assert snapshot.sha256 == hashlib.sha256(JPEG).hexdigest()
    assert (tmp_path / "events-snapshots" / snapshot.file).read_bytes() == JPEG


def test_all_of_a_picture_is_there_or_nothing(album: SnapshotFiles) -> None:
    with full_disk(), pytest.raises(StoreError, match="events-snapshots: File too large"):
        album.add(uuid7(), JPEG, hidden=False)
    assert [path for path in album.folder.rglob("*") if path.is_file()] == []


def test_a_folder_that_cannot_be_written_is_one_error(own_folder: Path) -> None:
    own_folder.chmod(0o500)
    with pytest.raises(StoreError, match="events-snapshots: Permission denied"):
        SnapshotFiles(own_folder / "events.sqlite3").add(uuid7(), JPEG, hidden=False)


def test_a_file_in_the_place_of_the_folder_is_one_error(album: SnapshotFiles) -> None:
    album.folder.write_text("")
    with pytest.raises(StoreError, match="events-snapshots: Not a directory"):
        album.add(uuid7(), JPEG, hidden=False)
    album.remove([uuid7()])
    album.clear()
    swept(album)


def test_those_of_an_event_are_deleted_and_no_others(album: SnapshotFiles) -> None:
    one, two, hidden = uuid7(), uuid7(), uuid7()
    for id_ in (one, two):
        album.add(id_, JPEG, hidden=False)
    album.add(hidden, JPEG, hidden=True)
    album.remove([one, hidden, uuid7()], hidden=False)
    assert names(album) == sorted([f"{two}.jpg", f"{hidden}-hidden.jpg"])
    album.remove([two, hidden])
    assert names(album) == []


@pytest.mark.parametrize(
    "id_", ["", "../../../../passwords", "/etc/passwd", "f" * 36, f"../{'0' * 36}", "é" * 36]
)
def test_an_id_that_is_none_names_no_file(album: SnapshotFiles, tmp_path: Path, id_: str) -> None:
    bait = tmp_path / "passwords.jpg"
    bait.write_bytes(JPEG)
    album.remove([id_])
    assert bait.exists()


def test_the_oldest_go_after_their_time(album: SnapshotFiles) -> None:
    now = time.time()
    ids = [made_at(now - days * DAY_S) for days in (40, 8, 7.01, 6.99, 0)]
    for id_ in ids:
        album.add(id_, JPEG, hidden=False)
    assert swept(album, snapshots_days=7).deleted == 3
    assert names(album) == [f"{id_}.jpg" for id_ in ids[3:]]
    days = {path.parent for path in album.files()}
    assert set(album.folder.glob("*/*/*")) == days


def test_the_oldest_go_when_there_are_too_many_megabytes(album: SnapshotFiles) -> None:
    now = time.time()
    ids = [made_at(now - hours * 3600) for hours in range(60, 0, -1)]
    for id_ in ids:
        album.add(id_, bytes(50_000), hidden=False)
    sweep = swept(album, snapshots_mb=1)
    assert names(album) == [f"{id_}.jpg" for id_ in ids[40:]]
    assert (sweep.deleted, sweep.held_bytes) == (40, 1_000_000)


def test_the_oldest_go_when_the_disk_is_nearly_full(
    album: SnapshotFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [made_at(time.time() - hours * 3600) for hours in range(9, 0, -1)]
    for id_ in ids:
        album.add(id_, bytes(50_000), hidden=False)
    usage = shutil.disk_usage(album.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=200_000_000 - 120_000))
    assert swept(album).deleted == 3
    assert names(album) == [f"{id_}.jpg" for id_ in ids[3:]]


def test_what_a_clock_that_was_not_set_dated_has_no_age_but_goes_first(
    album: SnapshotFiles,
) -> None:
    unset, old, new = made_at(60), made_at(time.time() - 8 * DAY_S), made_at(time.time())
    for id_ in (unset, old, new):
        album.add(id_, bytes(600_000), hidden=False)
    swept(album, snapshots_days=7)
    assert names(album) == [f"{unset}.jpg", f"{new}.jpg"]
    swept(album, snapshots_days=7, snapshots_mb=1)
    assert names(album) == [f"{new}.jpg"]


def test_what_is_no_picture_is_left_alone_and_what_a_power_cut_left_is_not(
    album: SnapshotFiles,
) -> None:
    old = made_at(time.time() - 8 * DAY_S)
    day = (album.folder / album.add(old, JPEG, hidden=False).file).parent
    for name in ("notes.txt", f"{old}.jpg.new", f"{old}.png"):
        (day / name).write_bytes(JPEG)
    swept(album, snapshots_days=7)
    assert sorted(file.name for file in day.iterdir()) == sorted(["notes.txt", f"{old}.png"])


def test_a_long_sweep_is_done_bit_by_bit(
    album: SnapshotFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(album_module, "STEP_S", 0.0)
    for days in (9, 8):
        album.add(made_at(time.time() - days * DAY_S), JPEG, hidden=False)
    sweep = swept(album, snapshots_days=7)
    assert len(names(album)) == 2
    for _ in range(10):
        sweep.check()
    assert (sweep.deleted, sweep.held_bytes, names(album)) == (2, 0, [])


def test_a_sweep_that_takes_longer_than_until_the_next_is_finished(
    album: SnapshotFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(album_module, "STEP_S", 0.0)
    monkeypatch.setattr(album_module, "SWEEP_S", 0.0)
    for days in range(9, 20):
        album.add(made_at(time.time() - days * DAY_S), JPEG, hidden=False)
    sweep = Sweep(RetentionConfig(snapshots_days=7), album)
    for _ in range(40):
        sweep.check()
    assert (sweep.deleted, names(album)) == (11, [])


def test_a_full_disk_has_room_again_before_the_store_is_opened(
    album: SnapshotFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_room(RetentionConfig(), album)
    album.add(uuid7(), JPEG, hidden=False)
    make_room(RetentionConfig(), album)
    assert len(names(album)) == 1
    monkeypatch.setattr(album_module, "LEAST_FREE_MB", 1e12)
    make_room(RetentionConfig(), album)
    assert names(album) == []


def test_a_sweep_that_fails_says_so(own_folder: Path, logs: Logs) -> None:
    album = SnapshotFiles(own_folder / "events.sqlite3")
    file = album.folder / album.add(made_at(1.7e9), JPEG, hidden=False).file
    file.parent.chmod(0o500)
    swept(album)
    file.parent.chmod(0o700)
    assert said(logs, "outage starts") == [f"{album.folder}: Permission denied"]
    assert file.exists()


def test_a_picture_that_cannot_be_deleted_holds_up_no_other(
    album: SnapshotFiles, logs: Logs
) -> None:
    now = time.time()
    ids = [made_at(now - days * DAY_S) for days in (40, 30, 20, 0)]
    files = [album.folder / album.add(id_, JPEG, hidden=False).file for id_ in ids]
    files[0].unlink()
    files[0].mkdir()
    shutil.rmtree(files[1].parent)
    files[1].parent.touch()
    assert swept(album, snapshots_days=7).deleted == 1
    assert [file.exists() for file in files] == [True, False, False, True]
    assert len(said(logs, "outage starts")) == 1


def stored(store: EventStore, album: SnapshotFiles, seq: int, **changes: Any) -> str:
    made = event(seq, **changes)
    store.append(made)
    album.add(made.id, JPEG, hidden=False)
    return f"{made.id}.jpg"


@pytest.mark.parametrize(
    ("purged", "left"),
    [
        (lambda purge: purge.all(), []),
        (lambda purge: purge.plate("B 68 SPK"), [2, 3]),
        (lambda purge: purge.before(PAST + timedelta(days=1)), [1, 3]),
    ],
)
def test_a_purge_takes_the_pictures_along(
    store: EventStore, album: SnapshotFiles, purged: Callable[[Purge], object], left: list[int]
) -> None:
    other = {"plate_raw": "", "plate_display": "", "candidates": ()}
    files = [
        stored(store, album, 1),
        stored(store, album, 2, plate="B01AAA", first_seen=PAST, **other | {"pass_id": "b"}),
        stored(store, album, 3, plate="B02AAA", **other | {"pass_id": "c"}),
    ]
    purged(Purge(store.path))
    assert names(album) == sorted(files[seq - 1] for seq in left)


def test_pictures_whose_events_nobody_knows_are_purged_by_time(
    store: EventStore, album: SnapshotFiles
) -> None:
    orphan, later = made_at(1.7e9), made_at(1.8e9)
    for id_ in (orphan, later):
        album.add(id_, JPEG, hidden=False)
    Purge(store.path).before(datetime.fromtimestamp(1.75e9, UTC))
    assert names(album) == [f"{later}.jpg"]
    Purge(store.path).all()
    assert names(album) == []


def test_a_purge_that_cannot_delete_a_picture_deletes_no_event(own_folder: Path) -> None:
    with closing(EventStore(own_folder / "events.sqlite3")) as store:
        album = SnapshotFiles(store.path)
        stored(store, album, 1)
        (day,) = album.folder.glob("*/*/*")
        day.chmod(0o500)
        with pytest.raises(StoreError, match="events-snapshots: Permission denied"):
            Purge(store.path).plate("B68SPK")
        with suppress(OSError):
            day.chmod(0o700)
        assert store.counts().events == 1


def test_an_event_that_leaves_the_history_takes_its_picture_along(
    store: EventStore, album: SnapshotFiles
) -> None:
    old = stored(store, album, 1, id=made_at(time.time() - 8 * DAY_S))
    new = stored(store, album, 2)
    outbox_of(store).remove([old.removesuffix(".jpg"), new.removesuffix(".jpg")])
    Retention(RetentionConfig(events_days=7), store, Privacy(PrivacyConfig(), store.path)).check()
    assert names(album) == [new]


def test_pictures_from_before_plates_had_to_be_hidden_go_when_the_events_are_treated(
    store: EventStore, album: SnapshotFiles
) -> None:
    file = stored(store, album, 1)
    made = event(2)
    store.append(made)
    album.add(made.id, JPEG, hidden=True)
    outbox_of(store).remove([file.removesuffix(".jpg"), made.id])
    config = PrivacyConfig(unlisted="hash")
    Retention(RetentionConfig(), store, Privacy(config, store.path)).check()
    assert names(album) == [f"{made.id}-hidden.jpg"]
