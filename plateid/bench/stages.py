"""Measures one video in one thread: the time of each stage, and the minimum possible time."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plateid.alpr import ALPR
from plateid.capture.container import open_container
from plateid.capture.video_file import read_video
from plateid.core.records import PlateEvent
from plateid.demo import DEMO_VIDEO
from plateid.models.backend import Batch
from plateid.models.session import NetworkSession

STAGES = {
    "decode": "FFmpeg",
    "detector": "detector network",
    "reader": "reader network",
    "rest": "scaling, crops, tracking, fusion, event rules",
}
"""The stages of a frame, with their descriptions."""


@dataclass(frozen=True)
class Profile:
    """The times of a video, frame by frame.

    `times_ms` has the shape (frames, STAGES), `read` says which frames show plates. `cpu_s` is the
    CPU time of all stages, `bare_s` that of decoding and ONNX Runtime alone with the same inputs.
    """

    times_ms: NDArray[np.float64]
    read: NDArray[np.bool_]
    cpu_s: float
    bare_s: float
    events: list[PlateEvent]

    def to_dict(self) -> dict[str, Any]:
        """Returns the profile for JSON."""
        frame_ms = self.times_ms.sum(axis=1)
        stages = {
            stage: {
                "median_ms": float(np.median(times)),
                "p95_ms": float(np.percentile(times, 95)),
                "share": float(times.sum() / frame_ms.sum()),
            }
            for stage, times in zip(STAGES, self.times_ms.T, strict=True)
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
    """Measures the pipeline of a bundle."""

    def __init__(self, bundle: str) -> None:
        """Loads the bundle; raises PlateidError if it cannot be used."""
        self._alpr = ALPR(bundle)
        self._inferences: list[tuple[NetworkSession, Batch]] = []
        self._spent_s: dict[str, float] = {}
        self._watch(self._alpr.networks.detector_session, "detector")
        self._watch(self._alpr.networks.reader_session, "reader")

    def _watch(self, session: NetworkSession, stage: str) -> None:
        """Makes a session add up its time, and keep its inputs."""
        run = session.run

        def timed(batch: Batch) -> NDArray[np.float32]:
            self._inferences.append((session, batch))
            started = time.perf_counter()
            try:
                return run(batch)
            finally:
                self._spent_s[stage] += time.perf_counter() - started

        session.run = timed  # type: ignore[method-assign]

    def profile(self, video: Path) -> Profile:
        """Processes a video as fast as possible; raises SourceError if it cannot be read."""
        events = list[PlateEvent]()
        found = np.array(list(self._frames(video, events)))
        times_s, (cpu_s, bare_s) = found[:, :-3], found[:, -3:-1].sum(axis=0)
        return Profile(1000 * times_s, found[:, -1] > 0, float(cpu_s), float(bare_s), events)

    def _frames(self, video: Path, events: list[PlateEvent]) -> Iterator[tuple[float, ...]]:
        """Yields the time of each stage, the CPU and bare time, and the plates of each frame."""
        pipeline, frames = self._alpr.pipeline("bench", events.append), read_video(video)
        with open_container(str(video)) as (container, stream):
            bare_frames = container.decode(stream)
            while True:
                self._inferences.clear()
                self._spent_s |= {"detector": 0.0, "reader": 0.0}
                started, started_cpu_s = time.perf_counter(), time.process_time()
                if (frame := next(frames, None)) is None:
                    break
                decoded = time.perf_counter()
                plates = pipeline.process(frame)
                ended, ended_cpu_s = time.perf_counter(), time.process_time()
                next(bare_frames, None)
                for session, batch in self._inferences:
                    session.run_unchecked(batch)
                bare_s = time.process_time() - ended_cpu_s
                spent_s = self._spent_s.values()
                rest_s = ended - decoded - sum(spent_s)
                cpu_s = ended_cpu_s - started_cpu_s
                yield decoded - started, *spent_s, rest_s, cpu_s, bare_s, len(plates)
        pipeline.finish()


def accuracy_of(events: Iterable[PlateEvent]) -> dict[str, int]:
    """Compares the plates of `plate_left` events with the vehicles of the demo video."""
    vehicles = json.loads(DEMO_VIDEO.with_suffix(".json").read_text())["vehicles"]
    plates = [event.plate for event in events if event.event_type == "plate_left"]
    right = (Counter(each["plate"] for each in vehicles) & Counter(plates)).total()
    return {"vehicles": len(vehicles), "right": right, "wrong": len(plates) - right}
