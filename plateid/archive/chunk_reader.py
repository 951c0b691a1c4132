"""Reads one chunk with the pipeline of `plateid read`: the work of a worker.

It decodes from `WARM_UP_S` before its begin, keeps the passes that are first seen before its end,
and decodes on until each of these is over or parked.
"""

import itertools
import json
from base64 import b64encode
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from plateid.alpr import ALPR
from plateid.archive.plan import WARM_UP_S, Chunk, Segment, segment_at
from plateid.archive.probe import CACHE_BYTES, Recording, local_file, probe, shown
from plateid.archive.quiet import QuietGate
from plateid.capture.video_file import open_video
from plateid.capture.video_image import VideoImage
from plateid.config.cameras import EventsConfig
from plateid.core.drawing import encode_jpeg
from plateid.core.geometry import expanded
from plateid.core.records import BestFrame, Box, Frame, PlateCrop, PlateEvent
from plateid.errors import SourceError
from plateid.pipeline.camera_pipeline import CameraPipeline
from plateid.store.self_labels import QUALITY, self_labels

TOLERANCE_S = 0.5
"""Seconds after its end for which a chunk keeps passes: two chunks may first see a vehicle some
frames apart, and `merge` drops the second one of two equal passes."""
FAST_STEP, FAST_SKIP = timedelta(seconds=0.085), timedelta(seconds=0.135)
"""With `fast`, longest time between frames without those left out; and if no pass can change."""
_VARYING = {"id", "pass_id", "device", "seq", "camera", "sent_at"}
"""Fields of an event that differ between two runs, or that `merge` sets."""


@dataclass(frozen=True)
class ReadOptions:
    """How all chunks of a run are read; `bundle` to `min_score` are arguments of `ALPR`.

    `crops` keeps the best image of each plate, `labels` small and blurred ones, for training.
    """

    bundle: str = "default"
    regions: tuple[str, ...] = ()
    strict: bool = False
    min_score: float | None = None
    fast: bool = False
    crops: bool = False
    labels: bool = False


@dataclass
class ChunkResult:
    """What a chunk gives: passes, clock overlays, damaged sources, and figures.

    A pass is its last event as JSON with `source`, `first_seen_s`, `first_s` and `last_s` (seconds
    since the first segment of the chunk begins), `is_open` at the end, `moved`, `crop` (JPEG in
    Base64) and `labels` (text to JPEG of `self_labels`).
    """

    passes: list[dict[str, Any]] = field(default_factory=list)
    overlays: list[Box] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)
    frames: int = 0


class Job:
    """The functions that a worker runs; it keeps its networks between two chunks. Picklable."""

    def __init__(
        self,
        options: ReadOptions,
        default_start: datetime | None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._options, self._default_start = options, default_start
        self._cache_bytes = cache_bytes

    def probe(self, source: str) -> Recording:
        """Probes a file; raises SourceError if it is none that can be read."""
        return probe(source, self._default_start, self._cache_bytes)

    def read(self, chunk: Chunk) -> ChunkResult:
        """Reads a chunk; what cannot be read is in `damaged`. Raises ModelError."""
        alpr = _alpr(self._options)
        return _ChunkReader(chunk, self._options, alpr, self._cache_bytes).read()


@lru_cache(1)
def _alpr(options: ReadOptions) -> ALPR:
    return ALPR(options.bundle, options.regions, strict=options.strict, min_score=options.min_score)


class _ChunkReader:
    def __init__(self, chunk: Chunk, options: ReadOptions, alpr: ALPR, cache_bytes: int) -> None:
        self._chunk, self._result, self._cache_bytes = chunk, ChunkResult(), cache_bytes
        self._crops, self._labels = dict[str, str](), list[Any]()
        first = chunk.segments[0].file
        hooks: dict[str, Any] = {"take_snapshot": self._keep_best} if options.crops else {}
        hooks |= {"keep_crops": self._label} if options.labels else {}
        self._pipeline: CameraPipeline = alpr.pipeline(first.source, self._add, **hooks)
        self._gate = QuietGate(self._pipeline) if options.fast else None
        self._start, self._goes_on, self._moved = first.start, False, set[str]()

    def read(self) -> ChunkResult:
        with closing(self._frames()) as frames:
            self._goes_on = self._process(frames)
        self._result.overlays = list(self._pipeline.overlays)
        self._pipeline.finish()
        return self._result

    def _add(self, event: PlateEvent) -> None:
        """Keeps the last event of a pass, at once: a chunk may be a whole day."""
        if event.event_type != "plate_left":
            return
        crop = self._crops.pop(event.pass_id, "")
        if self._begins_here(event.first_seen):
            state = {"is_open": self._goes_on, "moved": event.pass_id in self._moved}
            images = {"crop": crop, "labels": self._labels}
            self._result.passes.append(self._record(event) | state | images)

    def _keep_best(self, event: PlateEvent, frame: BestFrame | None) -> None:
        if frame is not None:
            crop = frame.image.crop(expanded(frame.box, x=0.3, y=0.3))
            self._crops[event.pass_id] = b64encode(encode_jpeg(crop, QUALITY)).decode()

    def _label(self, event: PlateEvent, crops: Sequence[PlateCrop]) -> None:
        found = self_labels(event, crops)  # of the event that `_add` gets next
        self._labels = [(*row, b64encode(jpeg).decode()) for *row, jpeg in found]

    def _time_s(self, moment: datetime) -> float:
        return (moment - self._start).total_seconds()

    def _begins_here(self, first_seen: datetime) -> bool:
        return self._time_s(first_seen) < self._chunk.end_s + TOLERANCE_S

    def _process(self, frames: Iterator[Frame]) -> bool:
        """Processes all frames; returns whether the open passes go on after the last one."""
        for frame in self._thinned(frames) if self._gate else frames:
            self._result.frames += 1
            self._pipeline.process(frame)
            passes = self._pipeline.open_passes()
            self._moved.update(vehicle.id for vehicle in passes if vehicle.movement.moved)
            if self._time_s(frame.captured_at) >= self._chunk.end_s and not self._awaits_pass():
                return True
        return not self._chunk.is_complete

    def _thinned(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        kept, last = self._start - FAST_SKIP, next(frames, None)
        for frame in frames:
            step = FAST_SKIP if self._pipeline.is_settled(frame) else FAST_STEP
            if last and frame.captured_at > kept + step:
                yield last
                kept = last.captured_at
            last = frame
        yield from filter(None, [last])

    def _awaits_pass(self) -> bool:
        return any(
            self._begins_here(vehicle.first_seen)
            and vehicle.movement.stationary_s(vehicle.last_seen) < EventsConfig().parked_s
            for vehicle in self._pipeline.open_passes()
        )

    def _frames(self) -> Generator[Frame]:
        """Yields the frames of the chunk and after it; the time counts from its first segment."""
        begin_s = self._chunk.start_s - WARM_UP_S if self._chunk.start_s else 0.0
        last_at, last = self._start, self._chunk.segments[-1]
        for segment in self._chunk.segments:
            start_s = begin_s - segment.offset_s
            if start_s >= segment.file.duration_s and segment is not last:
                continue
            try:
                for frame in self._frames_of(segment, start_s):
                    last_at = max(frame.captured_at, last_at)  # a step back would end passes
                    yield replace(frame, captured_at=last_at)
            except SourceError as error:
                self._result.damaged.setdefault(shown(segment.file.source), error.reason)

    def _frames_of(self, segment: Segment, start_s: float) -> Iterator[Frame]:
        file, gate = segment.file, self._gate
        with (
            local_file(file.source, self._cache_bytes) as path,
            open_video(path) as video,
        ):
            packets = video.packets_from(start_s, file.first_s) if start_s > 0 else video.packets()
            chosen = gate.frames(video, packets) if gate else map(video.decode, packets)
            try:
                for number, decoded in enumerate(itertools.chain.from_iterable(chosen)):
                    at_s = segment.offset_s + video.media_time_s(decoded)
                    moment = self._start + timedelta(seconds=at_s)
                    yield Frame(file.source, number, moment, at_s, VideoImage(decoded))
            finally:
                if video.damaged_at_s is not None:
                    reason = f"is damaged after {video.damaged_at_s:.1f} s"
                    self._result.damaged[shown(file.source)] = reason
            video.check()

    def _record(self, event: PlateEvent) -> dict[str, Any]:
        first_s = self._time_s(event.first_seen)
        segment, first_seen_s = segment_at(self._chunk, first_s)
        values: dict[str, Any] = json.loads(event.to_json())
        return {name: values[name] for name in values.keys() - _VARYING} | {
            "source": shown(segment.file.source),
            "fingerprint": segment.file.fingerprint,
            "first_seen_s": first_seen_s,
            "first_seen": (segment.file.start + timedelta(seconds=first_seen_s)).isoformat(),
            "first_s": first_s,
            "last_s": self._time_s(event.last_seen),
        }
