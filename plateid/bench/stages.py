"""Measures one video in one thread: the time of each stage, and the minimum possible time."""

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
from plateid.capture.container import open_container
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
from plateid.pipeline.event_builder import EventBuilder
from plateid.pipeline.motion import MotionGate
from plateid.pipeline.passes import Pass
from plateid.pipeline.settings import PipelineSettings
from plateid.pipeline.tracking import Tracker
from plateid.store.event_store import EventStore
from plateid.store.snapshot_files import SnapshotFiles
from plateid.store.snapshots import Snapshots

STAGES = {
    "decode": "FFmpeg",
    "motion": "motion detection",
    "scale": "to the detector's input",
    "detector": "detector network",
    "boxes": "detector output to plates",
    "crop": "plates to the reader's input",
    "reader": "reader network",
    "tracking": "plates to tracks",
    "fusion": "reads to one text",
    "store": "events and snapshots to disk",
    "rest": "event rules, and Python between the stages",
}
"""The stages of a frame, with their descriptions."""
CROWDED_FRAMES = 30
"""Frames whose median time counts for a number of plates."""
Inference = tuple[NetworkSession, NDArray[np.float32]]


@dataclass(frozen=True)
class Profile:
    """The times of a video, frame by frame.

    Attributes:
        times_ms: Time of each stage, shape (frames,).
        read: Whether a frame shows plates, shape (frames,).
        cpu_ms: CPU time of all stages of all frames.
        bare_ms: CPU time of decoding and of ONNX Runtime alone, with the same inputs.
        events: Number of events.
        left: Plates of the `plate_left` events.
    """

    times_ms: dict[str, NDArray[np.float64]]
    read: NDArray[np.bool_]
    cpu_ms: float
    bare_ms: float
    events: int
    left: list[str]

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.read)

    @property
    def ratio(self) -> float:
        """CPU time of all of plateid divided by that of decoding and networks alone."""
        return self.cpu_ms / self.bare_ms

    @property
    def frame_ms(self) -> NDArray[np.float64]:
        """Time of all stages together, shape (frames,)."""
        return np.asarray(np.sum(list(self.times_ms.values()), axis=0))

    def share(self, stage: str) -> float:
        """Returns the share of a stage in the total time."""
        return float(self.times_ms[stage].sum() / self.frame_ms.sum())

    def frame_rates(self) -> tuple[float, float]:
        """Returns the frames a second with plates and without; 0 if there is no such frame."""
        with_plates, without = (
            1000 / float(times.mean()) if len(times) else 0.0
            for times in (self.frame_ms[self.read], self.frame_ms[~self.read])
        )
        return with_plates, without


@dataclass(frozen=True)
class Crowd:
    """Median time of a frame with a number of plates, and how many were found."""

    plates: int
    frame_ms: float
    found: float


class EventFolder:
    """Stores events and snapshots in a directory, as the service does."""

    def __init__(self, folder: Path) -> None:
        """Creates an empty store."""
        path = folder / "events.sqlite3"
        self._store = EventStore(path)
        self._snapshots = Snapshots(
            SnapshotsConfig(),
            {True: "keep", False: "keep"},
            SnapshotFiles(path),
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
    """Measures the networks of a bundle and the pipelines that use them."""

    def __init__(self, bundle: Path) -> None:
        """Loads the bundle.

        Raises:
            PlateidError: The bundle cannot be used.
        """
        self.networks = Networks(ModelsConfig(bundle=bundle))

    def profile(self, video: Path) -> Profile:
        """Processes a video as fast as possible.

        Raises:
            SourceError: The video cannot be read.
        """
        stopwatch, inferences = Stopwatch(), list[Inference]()
        try:
            self._watch(stopwatch, inferences)
            with tempfile.TemporaryDirectory(prefix="plateid-bench-") as folder:
                return self._process(video, EventFolder(Path(folder)), stopwatch, inferences)
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
            (EventFolder, "take", "store"),
            (EventFolder, "accept", "store"),
        ):
            stopwatch.watch(owner, method, stage)
        for session, stage in (
            (self.networks.detector_session, "detector"),
            (self.networks.reader_session, "reader"),
        ):
            keep = functools.partial(_keep, inferences, session)
            stopwatch.watch(session, "run", stage, seen=keep)

    def _process(
        self, video: Path, events: EventFolder, stopwatch: Stopwatch, inferences: list[Inference]
    ) -> Profile:
        pipeline = self.pipeline(events)
        read, cpu_ms, bare_ms = [], 0.0, 0.0
        frames = read_video(video)
        with open_container(str(video)) as (container, stream):
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
        events.close()
        times = {stage: stopwatch.times(stage)[:-1] for stage in STAGES}
        return Profile(times, np.array(read), cpu_ms, bare_ms, events.events, events.left)

    def pipeline(self, events: EventFolder) -> CameraPipeline:
        """Returns a camera pipeline that hands its events to `events`."""
        names = self.networks.names
        return CameraPipeline(
            PipelineSettings("bench"),
            EventBuilder("bench", names, events.next_seq, take_snapshot=events.take),
            detect=self.networks.detector().detect,
            read=self.networks.reader().read,
            sink=events.accept,
        )

    def crowd(self, plates: int) -> Crowd:
        """Measures frames with a number of plates."""
        times, found = [], []
        with tempfile.TemporaryDirectory(prefix="plateid-bench-") as folder:
            events = EventFolder(Path(folder))
            pipeline = self.pipeline(events)
            for frame in crowded(plates, CROWDED_FRAMES):
                started = time.perf_counter()
                found.append(len(pipeline.process(frame)))
                times.append(1000 * (time.perf_counter() - started))
            events.close()
        return Crowd(plates, float(np.median(times)), float(np.median(found)))


def decode_ms(video: Path) -> float:
    """Returns the CPU time of decoding one frame of a video, milliseconds."""
    started = time.process_time()
    frames = sum(1 for _ in read_video(video))
    return 1000 * (time.process_time() - started) / frames


def _keep(inferences: list[Inference], session: NetworkSession, batch: NDArray[np.float32]) -> None:
    inferences.append((session, batch))
