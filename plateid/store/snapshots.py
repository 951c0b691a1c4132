"""The best shot of a pass as a picture: what it may show, on disk, and for the broker."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import cv2
import numpy as np

from plateid.backoff import Backoff, Outage
from plateid.config.storage import RetentionConfig, SnapshotPolicy, SnapshotsConfig
from plateid.core.blur import vehicle_only, without_plates
from plateid.core.geometry import scaled
from plateid.core.health import SnapshotHealth
from plateid.core.records import BestFrame, Image, LazyImage, PlateEvent, Snapshot
from plateid.errors import StoreError
from plateid.store.snapshot_files import HIDDEN_JPG, SnapshotFiles, Sweep

MAX_BYTES = 500_000
"""Brokers refuse, or hang up on, what is much larger; a street at 1280 pixels has 100 kB."""
SHRINK = 0.75


class Snapshots:
    """Makes the picture of each event. May be used from any thread, but for `check`."""

    def __init__(
        self,
        config: SnapshotsConfig,
        shown: Mapping[bool, SnapshotPolicy],
        album: SnapshotFiles,
        *,
        retention: RetentionConfig,
        publish: Callable[[str, bytes], None],
    ) -> None:
        """Pictures show what `Config.shown` says.

        `publish` gets each camera's, by its name, before their events are stored.
        """
        self._config = config
        self._album = album
        self._sweep = Sweep(retention, album)
        self._publish = publish
        self._shown = shown
        self._hides_others = set(shown.values()) != {"keep"}
        self._lock = threading.Lock()
        self._outage = Outage("snapshots", Backoff())
        self._of_pass: dict[str, tuple[SnapshotPolicy, Snapshot | None]] = {}
        self._written = self._lost = 0

    def resume(self, told: Iterable[PlateEvent]) -> None:
        """The passes of these events, of before a restart, have the pictures that are kept.

        Where all around the vehicle has to be blurred, nobody knows whether it was then.
        """
        for event in told:
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
            snapshot = self._earlier(event, shown)
        else:
            jpeg = encoded(self._image(frame, shown), self._config.quality)
            self._publish(event.camera, jpeg)
            snapshot = self._keep(event.id, jpeg, frame.image, hidden=shown == "blur")
        with self._lock:
            self._of_pass[event.pass_id] = shown, snapshot
            if event.event_type == "plate_left":
                del self._of_pass[event.pass_id]
        return snapshot

    def check(self) -> None:
        """Deletes what is too old or too much; to be called now and then, by one thread."""
        self._sweep.check()

    def health(self) -> SnapshotHealth:
        """What there is, and what went wrong."""
        held = self._sweep.held_bytes
        mb = None if held is None else round(held / 1e6, 1)
        return SnapshotHealth(mb, self._written, self._sweep.deleted, self._lost)

    def _earlier(self, event: PlateEvent, shown: SnapshotPolicy) -> Snapshot | None:
        """The list may have changed, or the plate: then what may be shown is another thing."""
        with self._lock:
            before, snapshot = self._of_pass.get(event.pass_id, ("off", None))
        return snapshot if shown == before else None

    def _image(self, frame: BestFrame, shown: SnapshotPolicy) -> Image:
        image = frame.image
        scale = min(1.0, self._config.max_side / max(image.width, image.height))
        width, height = (max(1, round(scale * n)) for n in (image.width, image.height))
        pixels = image.resized(width, height)
        own = scaled(frame.box, scale, scale)
        if shown == "vehicle":
            pixels = vehicle_only(pixels, own)
        hidden = (
            {scaled(box, scale, scale) for box in frame.plates} if self._hides_others else set()
        )
        if shown == "blur":
            hidden.add(own)
        else:
            hidden.discard(own)
        return without_plates(pixels, hidden) if hidden else pixels

    def _keep(
        self, event_id: str, jpeg: bytes, image: LazyImage, *, hidden: bool
    ) -> Snapshot | None:
        try:
            snapshot = self._album.add(event_id, jpeg, hidden=hidden)
        except StoreError as error:
            with self._lock:
                self._lost += 1
                self._outage.failed(error)
            return None
        with self._lock:
            self._written += 1
            self._outage.recovered()
        return replace(snapshot, frame=(image.width, image.height))


def encoded(image: Image, quality: int) -> bytes:
    """A JPEG of at most `MAX_BYTES`; where it must be, of fewer pixels."""
    while True:
        data = np.asarray(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])
        if data.size <= MAX_BYTES:
            return data.tobytes()
        image = cv2.resize(image, None, fx=SHRINK, fy=SHRINK, interpolation=cv2.INTER_AREA)
