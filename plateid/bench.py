"""`plateid bench`: where the time of a frame goes on this machine."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from plateid.capture.stream import read_clip
from plateid.config import EventsConfig, ModelsConfig
from plateid.core.formats import shipped_formats
from plateid.core.records import Frame, PlateEvent, Shot
from plateid.demo import CLIP
from plateid.models.networks import Networks
from plateid.models.session import Session
from plateid.pipeline import CameraPipeline, Origin

STAGES = ("decode", "detector", "reader", "the rest")


@dataclass
class Stopwatch:
    """Milliseconds of each stage, one value a frame."""

    frames: list[dict[str, float]] = field(default_factory=lambda: [{}])

    def add(self, stage: str, started: float) -> None:
        """Books the time since `started` (perf_counter) for the current frame."""
        frame = self.frames[-1]
        frame[stage] = frame.get(stage, 0.0) + 1000 * (time.perf_counter() - started)

    def time_runs(self, stage: str, session: Session) -> None:
        """From now on each inference of the session is booked."""
        outputs = session.outputs

        def timed(batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
            started = time.perf_counter()
            answer = outputs(batch)
            self.add(stage, started)
            return answer

        session.outputs = timed  # type: ignore[method-assign]

    def times(self, stage: str) -> NDArray[np.float64]:
        """Shape (frames,), in milliseconds."""
        return np.array([frame.get(stage, 0.0) for frame in self.frames if frame])


class Counter:
    """A sink that counts."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.events = 0

    def accept(self, event: PlateEvent, _shot: Shot | None) -> None:
        """Counts one."""
        self.events += event.seq > 0


def run_bench(clip: Path | None, bundle: Path) -> None:
    """Plays a clip as fast as it goes and prints each stage's median, 95th percentile and share.

    Raises:
        PlateidError: The clip or the bundle cannot be used.
    """
    networks = Networks(ModelsConfig(bundle=bundle))
    stopwatch, counter = Stopwatch(), Counter()
    stopwatch.time_runs("detector", networks.detector_session)
    stopwatch.time_runs("reader", networks.reader_session)
    pipeline = _pipeline(networks, counter)
    for frame in _timed(read_clip(clip or CLIP), stopwatch):
        started = time.perf_counter()
        pipeline.process(frame)
        stopwatch.add("frame", started)
        stopwatch.frames.append({})
    pipeline.finish()
    _report(stopwatch, counter.events)


def _timed(frames: Iterator[Frame], stopwatch: Stopwatch) -> Iterator[Frame]:
    while True:
        started = time.perf_counter()
        frame = next(frames, None)
        if frame is None:
            return
        stopwatch.add("decode", started)
        yield frame


def _pipeline(networks: Networks, counter: Counter) -> CameraPipeline:
    sequence = itertools.count(1)
    return CameraPipeline(
        Origin("bench", "bench", networks.names, lambda: next(sequence), lambda: None),
        EventsConfig(),
        formats=shipped_formats(),
        detector=networks.detector(),
        reader=networks.reader(),
        sink=counter,
    )


def _report(stopwatch: Stopwatch, events: int) -> None:
    times = {stage: stopwatch.times(stage) for stage in ("decode", "detector", "reader")}
    times["the rest"] = stopwatch.times("frame") - times["detector"] - times["reader"]
    whole = sum(times[stage] for stage in STAGES)
    total_ms = float(np.sum(whole))
    click.echo(f"{'stage':10} {'median':>9} {'95 %':>9} {'share':>7}")
    for stage in STAGES:
        share = float(times[stage].sum()) / total_ms
        median, high = np.percentile(times[stage], [50, 95])
        click.echo(f"{stage:10} {median:6.2f} ms {high:6.2f} ms {share:7.1%}")
    frames = len(times["decode"])
    click.echo(f"{frames} frames, {1000 * frames / total_ms:.1f} frames a second, {events} events")
