"""One stream in one thread: where its time goes, beside what cannot be saved."""

import functools
import itertools
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plateid.bench.scenes import crowded
from plateid.bench.stopwatch import Stopwatch
from plateid.capture.container import MediaSource, open_container
from plateid.capture.video_file import read_video
from plateid.capture.video_image import VideoImage
from plateid.config.models import ModelsConfig
from plateid.config.storage import RetentionConfig, SnapshotsConfig
from plateid.core.records import BestFrame, PlateEvent, Snapshot
from plateid.models.networks import Networks
from plateid.models.onnx_detector import OnnxDetector
from plateid.models.onnx_reader import OnnxReader
from plateid.models.session import NetworkSession
from plateid.pipeline.camera_pipeline import CameraPipeline
from plateid.pipeline.event_builder import EventServices, Origin
from plateid.pipeline.motion import MotionGate
from plateid.pipeline.passes import Pass
from plateid.pipeline.settings import PipelineSettings
from plateid.pipeline.tracking import Tracker
from plateid.store.event_store import EventStore
from plateid.store.snapshot_files import Album
from plateid.store.snapshots import Snapshots

STAGES = {
    "decode": "FFmpeg",
    "motion": "is it worth a look",
    "scale": "to the detector's input",
    "detector": "its network",
    "boxes": "candidates to plates",
    "crop": "plates to the reader's input",
    "reader": "its network",
    "tracking": "plates to vehicles",
    "fusion": "reads to a text",
    "store": "events and pictures to disk",
    "rest": "rules, and Python between the stages",
}
CROWDED_FRAMES = 30
Inference = tuple[NetworkSession, NDArray[np.float32]]


@dataclass(frozen=True)
class Profile:
    """What a clip took, frame by frame.

    Attributes:
        times_ms: Of each stage, shape (frames,).
        read: Whether a frame shows plates, shape (frames,).
        cpu_ms: Processor time of all stages of all frames.
        bare_ms: Of decoding, and of ONNX Runtime with the same inputs, by turns with the former.
        events: Published.
        left: Plates of the vehicles that left.
    """

    times_ms: dict[str, NDArray[np.float64]]
    read: NDArray[np.bool_]
    cpu_ms: float
    bare_ms: float
    events: int
    left: list[str]

    @property
    def ratio(self) -> float:
        """Of the pipeline's time to the bare one."""
        return self.cpu_ms / self.bare_ms

    @property
    def frame_ms(self) -> NDArray[np.float64]:
        """Of all stages together."""
        return np.asarray(np.sum(list(self.times_ms.values()), axis=0))


class Shelf:
    """A sink as the service has it: the picture to the album, the event to the store."""

    def __init__(self, folder: Path) -> None:
        """Empty."""
        path = folder / "events.sqlite3"
        self._store = EventStore(path)
        self._snapshots = Snapshots(
            SnapshotsConfig(),
            {True: "keep", False: "keep"},
            Album(path),
            retention=RetentionConfig(),
            publish=lambda _camera, _jpeg: None,
        )
        self._sequence = itertools.count(1)
        self.next_seq = lambda: next(self._sequence)
        self.events = 0
        self.left: list[str] = []

    def take(self, event: PlateEvent, frame: BestFrame | None) -> Snapshot | None:
        """Stores the snapshot of an event."""
        return self._snapshots.take(event, frame)

    def accept(self, event: PlateEvent) -> None:
        """Stores an event."""
        self._store.append(event)
        self.events += 1
        self.left += [event.plate] if event.event_type == "plate_left" else []

    def close(self) -> None:
        """Closes the store."""
        self._store.close()


class Bench:
    """The networks of a bundle, and pipelines that use them."""

    def __init__(self, bundle: Path) -> None:
        """Loads the bundle.

        Raises:
            PlateidError: It cannot be used.
        """
        self.networks = Networks(ModelsConfig(bundle=bundle))

    def profile(self, clip: Path) -> Profile:
        """Plays a clip as fast as it goes.

        Raises:
            SourceError: The clip cannot be read.
        """
        stopwatch, inferences = Stopwatch(), list[Inference]()
        self._watch(stopwatch, inferences)
        try:
            with tempfile.TemporaryDirectory(prefix="plateid-bench-") as folder:
                return self._played(clip, Shelf(Path(folder)), stopwatch, inferences)
        finally:
            stopwatch.stop()

    def _watch(self, stopwatch: Stopwatch, inferences: list[Inference]) -> None:
        for owner, method, stage in (
            (MotionGate, "passes", "motion"),
            (OnnxDetector, "detect", "boxes"),
            (VideoImage, "resized", "scale"),
            (OnnxReader, "read", "crop"),
            (Tracker, "update", "tracking"),
            (Tracker, "keep", "tracking"),
            (Pass, "add", "fusion"),
            (Pass, "reading", "fusion"),
            (Pass, "similar_reads", "fusion"),
            (Shelf, "take", "store"),
            (Shelf, "accept", "store"),
        ):
            stopwatch.watch(owner, method, stage)
        for session, stage in (
            (self.networks.detector_session, "detector"),
            (self.networks.reader_session, "reader"),
        ):
            keep = functools.partial(_keep, inferences, session)
            stopwatch.watch(session, "outputs", stage, seen=keep)

    def _played(
        self, clip: Path, shelf: Shelf, stopwatch: Stopwatch, inferences: list[Inference]
    ) -> Profile:
        pipeline = self.pipeline(shelf)
        read, cpu_ms, bare_ms = [], 0.0, 0.0
        frames = read_video(clip)
        with open_container(MediaSource(str(clip))) as (container, stream):
            decode = container.decode(stream)
            while True:
                stopwatch.next_frame()
                inferences.clear()
                started = time.process_time()
                with stopwatch.stage("rest"):
                    with stopwatch.stage("decode"):
                        frame = next(frames, None)
                    plates = pipeline.process(frame) if frame else []
                ended = time.process_time()
                if frame is None:
                    break
                next(decode, None)
                for session, batch in inferences:
                    session.run_unchecked(batch)
                cpu_ms += 1000 * (ended - started)
                bare_ms += 1000 * (time.process_time() - ended)
                read.append(bool(plates))
        pipeline.finish()
        shelf.close()
        times = {stage: stopwatch.times(stage)[:-1] for stage in STAGES}
        return Profile(times, np.array(read), cpu_ms, bare_ms, shelf.events, shelf.left)

    def pipeline(self, shelf: Shelf) -> CameraPipeline:
        """One camera's."""
        services = EventServices(next_seq=shelf.next_seq, snapshots=shelf)
        return CameraPipeline(
            Origin("bench", "bench", self.networks.names, services),
            PipelineSettings(),
            detector=self.networks.detector(),
            reader=self.networks.reader(),
            sink=shelf,
        )

    def crowd(self, plates: int) -> tuple[float, float]:
        """Median milliseconds of a frame with so many plates, and how many were found in it."""
        times, found = [], []
        with tempfile.TemporaryDirectory(prefix="plateid-bench-") as folder:
            shelf = Shelf(Path(folder))
            pipeline = self.pipeline(shelf)
            for frame in crowded(plates, CROWDED_FRAMES):
                started = time.perf_counter()
                found.append(len(pipeline.process(frame)))
                times.append(1000 * (time.perf_counter() - started))
            shelf.close()
        return float(np.median(times)), float(np.median(found))


def _keep(inferences: list[Inference], session: NetworkSession, batch: NDArray[np.float32]) -> None:
    inferences.append((session, batch))
