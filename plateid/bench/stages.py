"""Measures one video in one thread: the time of each stage, and the minimum possible time."""

import functools
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plateid.bench.scenes import crowded
from plateid.bench.stopwatch import Stopwatch
from plateid.capture.container import open_container
from plateid.capture.video_file import read_video
from plateid.capture.video_image import VideoImage
from plateid.config.models import ModelsConfig
from plateid.config.storage import RetentionConfig, SnapshotsConfig
from plateid.core.records import Frame, Plate, PlateEvent
from plateid.demo import DEMO_VIDEO
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
WATCHED = (
    (MotionGate, "passes", "motion"),
    (OnnxDetector, "detect", "boxes"),
    (VideoImage, "resized", "scale"),
    (OnnxReader, "read", "crop"),
    (Tracker, "update", "tracking"),
    (Tracker, "keep", "tracking"),
    (Pass, "add", "fusion"),
    (Pass, "reading", "fusion"),
    (Pass, "similar_reads", "fusion"),
    (EventStore, "append", "store"),
    (Snapshots, "take", "store"),
)
"""Methods that are stages, beside the two networks, decoding and the rest."""
Inference = tuple[NetworkSession, NDArray[np.float32]]


@dataclass(frozen=True)
class Profile:
    """The times of a video, frame by frame.

    Attributes:
        times_ms: Time of each stage, shape (frames,).
        read: Whether a frame shows plates, shape (frames,).
        cpu_s: CPU time of all stages of all frames.
        bare_s: CPU time of decoding and of ONNX Runtime alone, with the same inputs.
        events: All events.
    """

    times_ms: dict[str, NDArray[np.float64]]
    read: NDArray[np.bool_]
    cpu_s: float
    bare_s: float
    events: list[PlateEvent]

    def to_dict(self) -> dict[str, Any]:
        """Returns the profile for JSON."""
        frame_ms = np.sum(list(self.times_ms.values()), axis=0)
        stages = {
            stage: {
                "median_ms": float(np.median(times)),
                "p95_ms": float(np.percentile(times, 95)),
                "share": float(times.sum() / frame_ms.sum()),
            }
            for stage, times in self.times_ms.items()
        }
        with_plates, without = (
            1000 / float(times.mean()) if len(times) else 0.0
            for times in (frame_ms[self.read], frame_ms[~self.read])
        )
        return {
            "stages": stages,
            "frames_a_second": {"with_plates": with_plates, "without": without},
            "cpu_ms": 1000 * self.cpu_s / len(self.read),
            "bare_ms": 1000 * self.bare_s / len(self.read),
            "ratio": self.cpu_s / self.bare_s,
        }


class Bench:
    """Measures the networks of a bundle and the pipelines that use them."""

    def __init__(self, bundle: Path) -> None:
        """Loads the bundle; raises PlateidError if it cannot be used."""
        self.networks = Networks(ModelsConfig(bundle=bundle))

    def profile(self, video: Path) -> Profile:
        """Processes a video as fast as possible; raises SourceError if it cannot be read."""
        inferences: list[Inference] = []
        with Stopwatch() as stopwatch:
            for owner, method, stage in WATCHED:
                stopwatch.watch(owner, method, stage)
            for session, stage in (
                (self.networks.detector_session, "detector"),
                (self.networks.reader_session, "reader"),
            ):
                keep = functools.partial(_keep, inferences, session)
                stopwatch.watch(session, "run", stage, seen=keep)
            return self._process(video, stopwatch, inferences)

    def _process(self, video: Path, stopwatch: Stopwatch, inferences: list[Inference]) -> Profile:
        read, cpu_s, bare_s = list[bool](), 0.0, 0.0
        with (
            self._pipeline() as (pipeline, events),
            open_container(str(video)) as (container, stream),
        ):
            bare_frames = container.decode(stream)
            next_frame = stopwatch.timed(functools.partial(next, read_video(video), None), "decode")
            next_plates = stopwatch.timed(lambda: _plates(pipeline, next_frame()), "rest")
            while True:
                stopwatch.next_frame()
                inferences.clear()
                started = time.process_time()
                plates = next_plates()
                ended = time.process_time()
                if plates is None:
                    break
                next(bare_frames, None)
                for session, batch in inferences:
                    session.run_unchecked(batch)
                cpu_s += ended - started
                bare_s += time.process_time() - ended
                read.append(bool(plates))
        times = {stage: stopwatch.times(stage)[:-1] for stage in STAGES}
        return Profile(times, np.array(read), cpu_s, bare_s, events)

    @contextmanager
    def _pipeline(self) -> Iterator[tuple[CameraPipeline, list[PlateEvent]]]:
        """Gives a camera pipeline that stores events and snapshots as the service does."""
        with tempfile.TemporaryDirectory(prefix="plateid-bench-") as folder:
            path = Path(folder) / "events.sqlite3"
            store = EventStore(path)
            snapshots = Snapshots(
                SnapshotsConfig(),
                {True: "keep", False: "keep"},
                SnapshotFiles(path),
                retention=RetentionConfig(),
                publish=lambda _camera, _jpeg: None,
            )
            names, events = self.networks.names, list[PlateEvent]()

            def keep(event: PlateEvent) -> None:
                store.append(event)
                events.append(event)

            pipeline = CameraPipeline(
                PipelineSettings("bench"),
                EventBuilder("bench", names, store.next_seq, take_snapshot=snapshots.take),
                detect=self.networks.detector().detect,
                read=self.networks.reader().read,
                sink=keep,
            )
            yield pipeline, events
            pipeline.finish()
            store.close()

    def crowd(self, plates: int) -> tuple[float, float]:
        """Returns the median time of a frame with a number of plates, and how many are found."""
        times_ms, found = [], []
        with self._pipeline() as (pipeline, _):
            for frame in crowded(plates, CROWDED_FRAMES):
                started = time.perf_counter()
                found.append(len(pipeline.process(frame)))
                times_ms.append(1000 * (time.perf_counter() - started))
        return float(np.median(times_ms)), float(np.median(found))


def _plates(pipeline: CameraPipeline, frame: Frame | None) -> Sequence[Plate] | None:
    return pipeline.process(frame) if frame else None


def decode_ms(video: Path) -> float:
    """Returns the CPU time of decoding one frame of a video, milliseconds."""
    started = time.process_time()
    frames = sum(1 for _ in read_video(video))
    return 1000 * (time.process_time() - started) / frames


def _keep(inferences: list[Inference], session: NetworkSession, batch: NDArray[np.float32]) -> None:
    inferences.append((session, batch))


def accuracy_of(events: Iterable[PlateEvent]) -> dict[str, int]:
    """Compares the plates of `plate_left` events with the vehicles of the demo video."""
    vehicles = json.loads(DEMO_VIDEO.with_suffix(".json").read_text())["vehicles"]
    plates = [event.plate for event in events if event.event_type == "plate_left"]
    right = (Counter(each["plate"] for each in vehicles) & Counter(plates)).total()
    return {"vehicles": len(vehicles), "right": right, "wrong": len(plates) - right}
