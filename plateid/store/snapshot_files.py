"""Stores snapshots as JPEG files, a folder per day; reads those of events, deletes old ones."""

import hashlib
import re
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
import structlog

from plateid.config.storage import DAY_S, RetentionConfig
from plateid.core.clock import CLOCK
from plateid.core.geometry import clipped, scaled
from plateid.core.ids import first_id
from plateid.core.records import Box, Image, Snapshot
from plateid.errors import StoreError, os_errors_as
from plateid.files import write_whole

SWEEP_S = 600.0
"""Interval between two sweeps, seconds."""
MIN_FREE_MB = 200
"""Free disk space that is reserved for events, megabytes."""
MAX_PIXELS = 128_000_000
"""Larger images are not decoded, as image files: this many pixels take 384 MB."""
FIRST_DATED_ID = first_id(datetime(2020, 1, 1, tzinfo=UTC).timestamp())
"""Lowest event id whose time is known. Lower ids were created before the clock was set."""
ID = r"0[0-9a-f]{7}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
"""Pattern of an event id, a UUID of version 7."""
HIDDEN_JPG = "-hidden.jpg"
"""Suffix of a snapshot whose plates are hidden."""
FILE = re.compile(ID + r"(-hidden)?\.jpg(\.new)?")
"""File name of a snapshot; `.new` marks an unfinished one."""
NAME = re.compile(r"\d{4}/\d\d/\d\d/[0-9a-f-]{36}(?P<hidden>-hidden)?\.jpg")
"""Relative path of a snapshot; `-hidden` marks one whose plate is blurred."""
DAY = "[0-9]" * 4 + "/[0-9][0-9]/[0-9][0-9]"
"""Glob pattern of the folder of a day: year, month, day."""
log = structlog.get_logger()


class SnapshotFiles:
    """The snapshots of a store, by event id. For all threads and processes; raises StoreError."""

    def __init__(self, store: Path) -> None:
        """Sets the folder beside the store's file, but does not create it."""
        self.folder = store.with_name(f"{store.stem}-snapshots")

    def add(self, event_id: str, jpeg: bytes, *, hidden: bool) -> Snapshot:
        """Writes a whole snapshot, or nothing, without a flush, which would block the camera."""
        name = f"{_stem(event_id)}{HIDDEN_JPG if hidden else '.jpg'}"
        file = self.folder / name
        with os_errors_as(StoreError, self.folder):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, jpeg)
        return Snapshot(name, hashlib.sha256(jpeg).hexdigest())

    def remove(self, event_ids: Iterable[str], *, hidden: bool = True) -> None:
        """Deletes the snapshots of events; without `hidden`, only those that show plates."""
        endings = (".jpg", HIDDEN_JPG) if hidden else (".jpg",)
        for event_id in event_ids:
            if re.fullmatch(ID, event_id):  # an altered store must not name other files
                self._delete(self.folder / f"{_stem(event_id)}{ending}" for ending in endings)

    def clear(self, *, before: float | None = None) -> None:
        """Deletes all snapshots, or the snapshots from before a `time.time()`."""
        end = "g" if before is None else first_id(before)  # ids are hexadecimal: "g" follows all
        self._delete(file for file in self.files() if file.name < end)

    def files(self, failed: Callable[[OSError], object] | None = None) -> Iterator[Path]:
        """Yields all snapshots, oldest first, also unfinished ones; `failed` gets errors."""
        for day in sorted(self.folder.glob(DAY)):
            try:
                files = sorted(file for file in day.iterdir() if FILE.fullmatch(file.name))
            except OSError as error:
                if failed is None:
                    raise
                failed(error)
            else:
                yield from files

    def delete_empty_days(self) -> None:
        """Deletes the folders of days without snapshots, except the latest."""
        for day in sorted(self.folder.glob(DAY))[:-1]:
            with suppress(OSError):
                for folder in (day, day.parent, day.parent.parent):
                    folder.rmdir()

    def _delete(self, files: Iterable[Path]) -> None:
        with os_errors_as(StoreError, self.folder), suppress(NotADirectoryError):
            for file in files:
                file.unlink(missing_ok=True)


class SnapshotSweep:
    """Deletes the oldest snapshots if they are too old or too large, or if the disk is full.

    `deleted` counts deleted snapshots; `held_bytes` is the size of all snapshots at the last sweep.
    All calls come from one thread.
    """

    def __init__(self, config: RetentionConfig, files: SnapshotFiles) -> None:
        self.deleted = 0
        self.held_bytes: int | None = None
        self._max_age_s = config.snapshots_days * DAY_S
        self._max_bytes = config.snapshots_mb * 1e6
        self._files = files

    def steps(self) -> Iterator[None]:
        """Sweeps, one snapshot per step; raises StoreError, at the end if possible."""
        with os_errors_as(StoreError, self._files.folder):
            yield from self._sweep()

    def _sweep(self) -> Iterator[None]:
        held, errors = 0, deque[OSError](maxlen=1)
        for file in self._files.files(errors.append):
            held += _size(file)
            yield
        before, first = self.deleted, first_id(CLOCK.ago(self._max_age_s))
        wanted = MIN_FREE_MB * 1e6 - shutil.disk_usage(self._files.folder).free if held else 0.0
        for file in self._files.files(errors.append):
            if held > self._max_bytes or wanted > 0 or FIRST_DATED_ID <= file.name < first:
                size = _size(file)
                try:
                    file.unlink(missing_ok=True)
                except OSError as error:
                    errors.append(error)
                else:
                    held, wanted = held - size, wanted - size
                    self.deleted += 1
            elif file.name >= first:
                break
            yield
        self._files.delete_empty_days()
        self.held_bytes = held
        if self.deleted > before:
            log.info("old snapshots deleted", snapshots=self.deleted - before)
        if errors:
            raise errors[0]


def make_room(config: RetentionConfig, files: SnapshotFiles) -> None:
    """Sweeps at once if the disk is so full that the store could not be opened."""
    with suppress(OSError, StoreError):
        if shutil.disk_usage(files.folder).free < MIN_FREE_MB * 1e6:
            deque(SnapshotSweep(config, files).steps(), maxlen=0)


def _stem(event_id: str) -> str:
    """Returns the path of a snapshot without suffix; the event id gives its day (UTC)."""
    seconds = int(event_id[:8] + event_id[9:13], 16) / 1000
    return f"{datetime.fromtimestamp(seconds, UTC):%Y/%m/%d}/{event_id}"


def _size(file: Path) -> int:
    """Returns the size of a file, 0 if it was deleted meanwhile."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def snapshot_file(store: Path, event: dict[str, Any], *, legible: bool = False) -> Path | None:
    """Returns the snapshot file of an event; None if it was deleted or the event has none.

    With `legible`, snapshots with a blurred plate count as none. The name comes from the event's
    JSON: names of another form are ignored, so that an altered store cannot name other files.
    """
    match = NAME.fullmatch(str((event.get("snapshot") or {}).get("file", "")))
    if match is None or (legible and match["hidden"]):
        return None
    file = SnapshotFiles(store).folder / match[0]
    return file if file.is_file() else None


def is_hidden(event: Mapping[str, Any]) -> bool:
    """Returns whether the plate in the snapshot of an event is blurred."""
    return str(event["snapshot"]["file"]).endswith(HIDDEN_JPG)


def legible_image(store: Path, event: dict[str, Any]) -> Image | None:
    """Returns the snapshot of an event; None if it is gone, or its plate is blurred."""
    file = snapshot_file(store, event, legible=True)
    return read_image(file) if file else None


def read_image(file: Path) -> Image | None:
    """Returns the image of a file; None if it is gone or damaged."""
    try:
        return decode_image(file.read_bytes())
    except OSError:
        return None


def decode_image(jpeg: bytes) -> Image | None:
    """Returns an image; None if it is damaged, or has more than `MAX_PIXELS`."""
    with suppress(ValueError):
        height, width, *_ = simplejpeg.decode_jpeg_header(jpeg)
        if height * width <= MAX_PIXELS:
            image: Image | None = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            return image
    return None


def plate_box(image: Image, event: dict[str, Any]) -> Box:
    """Returns the event's box in pixels of its snapshot, which may be smaller than the frame."""
    height, width = image.shape[:2]
    frame = event["snapshot"].get("frame") or (width, height)
    return clipped(scaled(event["box"], width / frame[0], height / frame[1]), image)
