"""The snapshot of each event: blurred as configured, stored, and published."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import cv2

from plateid.backoff import Backoff, Chore, Outage
from plateid.config.storage import RetentionConfig, SnapshotPolicy, SnapshotsConfig
from plateid.core.drawing import encode_jpeg
from plateid.core.geometry import centre, expanded, scaled
from plateid.core.health import SnapshotHealth
from plateid.core.records import BestFrame, Box, Image, PlateEvent, Snapshot
from plateid.errors import StoreError
from plateid.store.snapshot_files import HIDDEN_JPG, SWEEP_S, SnapshotFiles, SnapshotSweep

MAX_BYTES = 500_000
"""Maximum size of a JPEG, bytes: brokers refuse larger messages. A street at 1280 px has 100 kB."""
SHRINK = 0.75
"""Factor by which a larger image is scaled until its JPEG is small enough."""
PLATE_MARGIN = 0.1, 0.3
"""Margins that are hidden around a plate, in box widths and heights: a box may cut characters."""
VEHICLE = 2.5, 3.0, 1.0
"""Extent of a vehicle from the centre of its plate to each side, up and down, in plate widths."""
CELLS = 32
"""Cells of the blurred area per image width; a face in a street is smaller than one."""


class Snapshots:
    """Makes the snapshots. All methods but `check` may be called from any thread."""

    def __init__(
        self,
        config: SnapshotsConfig,
        shown: Mapping[bool, SnapshotPolicy],
        files: SnapshotFiles,
        *,
        retention: RetentionConfig,
        publish: Callable[[str, bytes], None],
    ) -> None:
        """`shown` is for listed vehicles (True) and others; `publish` gets camera and JPEG."""
        self._config = config
        self._files = files
        self._sweep = SnapshotSweep(retention, files)
        self._sweep_chore = Chore(
            "snapshot sweep",
            self._sweep.steps,
            interval_s=SWEEP_S,
            backoff=Backoff(SWEEP_S, SWEEP_S),
        )
        self._publish = publish
        self._shown = shown
        self._hides_others = set(shown.values()) != {"keep"}
        self._lock = threading.Lock()
        self._outage = Outage("snapshots", Backoff())
        self._of_pass: dict[str, tuple[SnapshotPolicy, Snapshot | None]] = {}
        self._written = self._lost = 0

    def resume(self, events: Iterable[PlateEvent]) -> None:
        """Takes over the snapshots of passes from before a restart, if they may still be shown.

        A file name does not tell whether the background is blurred: with `vehicle`, none is kept.
        """
        for event in events:
            if event.snapshot is not None:
                shown = self._shown[event.list is not None]
                if shown == ("blur" if event.snapshot.file.endswith(HIDDEN_JPG) else "keep"):
                    self._of_pass[event.pass_id] = shown, event.snapshot

    def take(self, event: PlateEvent, frame: BestFrame | None) -> Snapshot | None:
        """Publishes and stores the snapshot of an event.

        Without a better frame, `plate_left` has the snapshot of `plate_seen`. When the disk fails,
        subscribers get the image all the same, and the event has no snapshot.
        """
        shown = self._shown[event.list is not None]
        if frame is None or shown == "off":
            with self._lock:  # not if the plate is now listed differently
                before, snapshot = self._of_pass.get(event.pass_id, ("off", None))
            snapshot = snapshot if shown == before else None
        else:
            jpeg = encoded(self._image(frame, shown), self._config.quality)
            self._publish(event.camera, jpeg)
            snapshot = self._keep(event.id, jpeg, frame, hidden=shown == "blur")
        with self._lock:
            self._of_pass[event.pass_id] = shown, snapshot
            if event.event_type == "plate_left":
                del self._of_pass[event.pass_id]
        return snapshot

    def check(self) -> None:
        """Deletes old snapshots. Call it every few seconds, from one thread."""
        self._sweep_chore.check()

    def health(self) -> SnapshotHealth:
        """Returns the state of the snapshot files."""
        held = self._sweep.held_bytes
        mb = None if held is None else round(held / 1e6, 1)
        return SnapshotHealth(mb, self._written, self._sweep.deleted, self._lost)

    def _image(self, frame: BestFrame, shown: SnapshotPolicy) -> Image:
        image = frame.image
        scale = min(1.0, self._config.max_side / max(image.width, image.height))
        width, height = (max(1, round(scale * n)) for n in (image.width, image.height))
        pixels = image.resized(width, height)
        own = scaled(frame.box, scale, scale)
        if shown == "vehicle":
            pixels = vehicle_only(pixels, own)
        others = frame.plates if self._hides_others else ()
        hidden = {scaled(box, scale, scale) for box in others} - {own}
        if shown == "blur":
            hidden.add(own)
        return without_plates(pixels, hidden) if hidden else pixels

    def _keep(
        self, event_id: str, jpeg: bytes, frame: BestFrame, *, hidden: bool
    ) -> Snapshot | None:
        try:
            snapshot = self._files.add(event_id, jpeg, hidden=hidden)
        except StoreError as error:
            with self._lock:
                self._lost += 1
                self._outage.failed(error)
            return None
        with self._lock:
            self._written += 1
            self._outage.recovered()
        (x, y), image = frame.scale, frame.image
        return replace(snapshot, frame=(round(image.width / x), round(image.height / y)))


def encoded(image: Image, quality: int) -> bytes:
    """Returns a JPEG of at most `MAX_BYTES`, with fewer pixels if necessary."""
    while len(jpeg := encode_jpeg(image, quality)) > MAX_BYTES:
        image = cv2.resize(image, None, fx=SHRINK, fy=SHRINK, interpolation=cv2.INTER_AREA)
    return jpeg


def without_plates(image: Image, plates: Iterable[Box]) -> Image:
    """Returns a copy with the mean colour in each box: blurred characters could be guessed."""
    copy = image.copy()
    x, y = PLATE_MARGIN
    for plate in plates:
        x1, y1, x2, y2 = _within(image, expanded(plate, x=x, y=y))
        if x1 < x2 and y1 < y2:
            copy[y1:y2, x1:x2] = cv2.mean(image[y1:y2, x1:x2])[:3]
    return copy


def vehicle_only(image: Image, plate: Box) -> Image:
    """Returns a copy that is blurred outside the estimated extent of the plate's vehicle."""
    height, width = image.shape[:2]
    rows = max(1, round(CELLS * height / width))
    cells = cv2.resize(image, (CELLS, rows), interpolation=cv2.INTER_AREA)
    copy: Image = cv2.resize(cells, (width, height), interpolation=cv2.INTER_LINEAR)
    x, y = centre(plate)
    aside, up, down = ((plate[2] - plate[0]) * reach for reach in VEHICLE)
    x1, y1, x2, y2 = _within(image, (x - aside, y - up, x + aside, y + down))
    copy[y1:y2, x1:x2] = image[y1:y2, x1:x2]
    return copy


def _within(image: Image, box: Box) -> tuple[int, int, int, int]:
    """Returns the pixels that a box touches, possibly none."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = box
    return max(0, int(x1)), max(0, int(y1)), min(width, int(x2) + 1), min(height, int(y2) + 1)
