"""The steady clock across restarts of plateid, and what a jump of the system clock deletes."""

import time
from collections import deque
from datetime import UTC, datetime, timedelta

import pytest

from plateid.config.storage import RetentionConfig
from plateid.core.clock import CLOCK, SteadyClock, uptime
from plateid.store import open_passes
from plateid.store.open_passes import boot_file, continue_clock
from plateid.store.snapshot_files import SnapshotFiles, SnapshotSweep
from tests.support.histories import deliver_all, id_at, kept, retention
from tests.support.samples import event, outbox_of

JUMP = timedelta(days=400)


def later_clock() -> SteadyClock:
    """A clock that starts after the system clock has jumped ahead."""
    return SteadyClock(lambda: datetime.now(UTC) + JUMP, uptime)


def test_jump_between_two_starts_is_noticed_until_the_next_boot(tmp_path, monkeypatch):
    store = tmp_path / "events.sqlite3"
    continue_clock(first := SteadyClock(), store)
    continue_clock(second := later_clock(), store)
    assert (second.booted_at, second.is_trusted()) == (first.booted_at, False)
    assert abs(second.step() - JUMP) < timedelta(seconds=9)
    (tmp_path / "boot_id").write_text("another\n")
    monkeypatch.setattr(open_passes, "BOOT_ID", tmp_path / "boot_id")
    continue_clock(third := later_clock(), store)
    assert (third.step(), third.is_trusted()) == (timedelta(), True)


@pytest.mark.parametrize("text", ["", "half", "{boot} yesterday", "\0\xff", "{boot} 2026-01-01 x"])
def test_damaged_file_is_replaced(tmp_path, text):
    store = tmp_path / "events.sqlite3"
    boot = open_passes.BOOT_ID.read_text().strip()
    boot_file(store).write_text(text.replace("{boot}", boot), encoding="latin-1")
    continue_clock(clock := SteadyClock(), store)
    continue_clock(second := later_clock(), store)
    assert second.booted_at == clock.booted_at


def test_folder_that_cannot_be_written_leaves_the_clock_as_it_is(tmp_path):
    clock = SteadyClock()
    continue_clock(clock, tmp_path / "missing" / "events.sqlite3")
    assert clock.step() == timedelta()


@pytest.mark.parametrize("trusted", [True, False])
def test_jump_ahead_deletes_nothing_until_it_is_trusted(store, monkeypatch, trusted):
    step = timedelta() if trusted else JUMP
    monkeypatch.setattr(CLOCK, "_trusted", -step)
    id_ = id_at(time.time() - JUMP.total_seconds())
    store.append(event(1, id=id_))
    files = SnapshotFiles(store.path)
    files.add(id_, b"", hidden=False)
    store.rows("UPDATE delivery SET queued_at = ?", time.time() - JUMP.total_seconds())
    outbox_of(store).trim()
    deque(SnapshotSweep(RetentionConfig(), files).steps(), maxlen=0)
    assert (store.counts().outbox, len([*files.files()])) == (2 * (not trusted,))
    deliver_all(store)
    retention(store, None).check()
    assert len(kept(store)) == (not trusted)
