"""The store on an ext4 whose disk loses power at each write barrier.

A disk in user space logs what the file system writes, and when it demands that everything is on the
medium (a flush). A power cut keeps what was written before the last flush, and any part of the
writes after it: none, some of them, all, or torn ones. `POWER_CUTS=2000` tries more.
"""

import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from plateid.store.event_store import EventStore
from tests.support.broker import until
from tests.support.samples import event, outbox_of

CUTS = int(os.environ.get("POWER_CUTS", "40"))
EVENTS = 60
SIZE = 24 << 20
SECTOR = 512
OPEN_S = 10.0
"""Maximum time to open a store after a power cut, seconds."""


@dataclass(frozen=True)
class Entry:
    """A write, or a flush if `data` is None; `start` is its place in the log."""

    start: int
    offset: int
    data: bytes | None


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def logging_disk(image: Path, log: Path, folder: Path) -> Iterator[Path]:
    """Gives a file with the content of the image; `log` gets its writes and flushes."""
    command = ["/usr/bin/python3", str(Path(__file__).with_name("logging_disk.py"))]
    with subprocess.Popen([*command, folder, image, log]) as process:
        until((folder / "disk").exists)
        try:
            yield folder / "disk"
        finally:
            subprocess.run(["umount", folder], check=True)
        assert process.wait(10) == 0


def parsed(log: bytes) -> Iterator[Entry]:
    place = 0
    while place < len(log):
        end = log.index(b"\n", place) + 1
        _, *numbers = log[place:end].split()
        offset, size = map(int, numbers) if numbers else (0, 0)
        data = log[end : end + size] if numbers else None
        yield Entry(place, offset, data)
        place = end + size


class Acknowledged:
    """What the store has acknowledged, with the length of the log at that moment.

    Attributes:
        events: The events.
        marked: Those that were marked as sent.
        removed: Those that were removed from the outbox, at any time.
        damaged_at: Length of the log before the store was damaged.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self.events: list[tuple[int, str]] = []
        self.marked: list[tuple[int, str]] = []
        self.removed: set[str] = set()
        self.damaged_at = 0

    @property
    def length(self) -> int:
        return self._log.stat().st_size


def work(path: Path, done: Acknowledged) -> None:
    """Uses a store: appends, delivers, empties the write-ahead log, closes, repairs damage."""
    for part in range(3):
        with closing(EventStore(path, service=True)) as store:
            assert store.replaced == (part == 2)
            outbox = outbox_of(store)
            for number in range(EVENTS // 3):
                new = event(store.next_seq(), plate=f"B{len(done.events):02}ABC")
                store.append(new)
                done.events.append((done.length, new.id))
                if number % 2 == 0:
                    outbox.mark_sent([new.id])
                    done.marked.append((done.length, new.id))
                if number % 4 == 0:
                    done.removed.add(new.id)
                    outbox.remove([new.id])
                if number % 9 == 8:
                    store.empty_log()
            index = store.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'event_plate'")
        if part == 1:
            done.damaged_at = done.length
            with path.open("r+b") as file:
                file.seek((index[0][0] - 1) * 4096)
                file.write(b"\xa5" * 4096)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> tuple[Path, bytes, Acknowledged]:
    """The disk before the work, the log of the work, and what was acknowledged."""
    folder = tmp_path_factory.mktemp("recorded")
    before, disk = folder / "before", folder / "image"
    before.write_bytes(b"")
    os.truncate(before, SIZE)
    subprocess.run(["mkfs.ext4", "-q", before], check=True)
    disk.write_bytes(before.read_bytes())
    done = Acknowledged(folder / "log")
    for name in ("fuse", "mount"):
        (folder / name).mkdir()
    with (
        logging_disk(disk, folder / "log", folder / "fuse") as device,
        mounted(device, folder / "mount"),
    ):
        work(folder / "mount" / "store.sqlite3", done)
    return before, (folder / "log").read_bytes(), done


def cut(writes: list[Entry], chance: random.Random) -> Iterator[Entry]:
    """Yields what a power cut leaves of the writes after the last flush."""
    share = chance.choice([0.0, 0.5, 0.9, 1.0])
    for write in writes:
        if chance.random() < share:
            torn = chance.random() < 0.2
            sectors = len(write.data) // SECTOR
            size = chance.randrange(sectors) * SECTOR if torn else len(write.data)
            yield Entry(write.start, write.offset, write.data[:size])


def apply(image: bytearray, writes: Iterable[Entry]) -> None:
    for write in writes:
        image[write.offset : write.offset + len(write.data)] = write.data


def barriers(before: bytes, log: Iterable[Entry]) -> Iterator[tuple[int, bytearray, list[Entry]]]:
    """Yields each flush: its place in the log, what was durable before it, and what waited."""
    durable, waiting = bytearray(before), []
    for entry in log:
        if entry.data is not None:
            waiting.append(entry)
            continue
        yield entry.start, durable, waiting
        apply(durable, waiting)
        waiting.clear()


def check(folder: Path, at: int, done: Acknowledged) -> None:
    """Opens the store that a power cut left, and looks for what was acknowledged before."""
    acknowledged, marked = (
        {identity for then, identity in which if then <= at} for which in (done.events, done.marked)
    )
    began = time.monotonic()
    with closing(EventStore(folder / "store.sqlite3", service=True)) as store:
        assert time.monotonic() - began < OPEN_S
        assert not store.replaced or at > done.damaged_at
        stored = [identity for (identity,) in store.rows("SELECT id FROM event")]
        pending = {each.event.id: each.sent for each in outbox_of(store).pending(10**6)}
    assert len(stored) == len(set(stored))
    assert acknowledged <= set(stored)
    assert acknowledged - done.removed <= pending.keys()
    assert all(sent for identity, sent in pending.items() if identity in marked)


def test_store_has_every_acknowledged_event_after_a_power_cut(recorded, tmp_path):
    before, raw, done = recorded
    log = [*parsed(raw)]
    flushes = sum(entry.data is None for entry in log)
    assert flushes > EVENTS
    chance = random.Random(1)
    cuts = Counter(chance.choices(range(flushes), k=CUTS))
    (tmp_path / "mount").mkdir()
    for number, (at, durable, waiting) in enumerate(barriers(before.read_bytes(), log)):
        for _ in range(cuts[number]):
            image = bytearray(durable)
            apply(image, cut(waiting, chance))
            (tmp_path / "image").write_bytes(image)
            with mounted(tmp_path / "image", tmp_path / "mount"):
                check(tmp_path / "mount", at, done)
