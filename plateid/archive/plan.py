"""Joins the recordings of a camera to timelines, and cuts these into chunks at key frames."""

import hashlib
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import attrgetter

from plateid.archive.probe import Recording, identity

WARM_UP_S = 4.0
"""Seconds that a chunk decodes before its begin: the motion gate, the tracker and the passes in
view are then as in a run from the begin of the timeline. 4 s is `stationary.STATIONARY_S`."""
LOOK_AHEAD_S = 600.0
"""Seconds after its end for which a chunk knows the recordings: the longest jam it waits for."""
EARLY_S, LATE_S = 1.5, 2.0
"""By how much the next recording of a timeline may begin before or after the end of the last one,
seconds: names and metadata have whole seconds."""


@dataclass(frozen=True)
class Segment:
    """A recording that begins `offset_s` after its timeline, or after the begin of a chunk's."""

    file: Recording
    offset_s: float


@dataclass(frozen=True)
class Chunk:
    """A part of a timeline, from `start_s` to `end_s` (infinite: to its end).

    `segments` hold it, its warm-up, and `LOOK_AHEAD_S` after it; `is_complete` if no recording
    follows them. The first one begins at `origin_s` in the timeline; all other times of a chunk
    count from there. `read_s` is its length.
    """

    camera: str
    segments: tuple[Segment, ...]
    origin_s: float
    start_s: float
    end_s: float
    is_complete: bool
    read_s: float

    @property
    def key(self) -> str:
        """Identifies the work in all runs: the files as they are now, and the borders within."""
        files = [each.file for each in self.segments]
        content = [(identity(each.source), each.stamp, each.fingerprint) for each in files]
        values = content, (round(self.start_s, 3), round(self.end_s, 3)), self.is_complete
        return hashlib.sha256(repr(values).encode()).hexdigest()[:32]


def plan(recordings: Iterable[Recording], chunk_s: float) -> list[list[Chunk]]:
    """Returns the chunks of each timeline, sorted by camera and time."""
    timelines: list[list[Recording]] = []
    for each in sorted(recordings, key=lambda each: (each.place, each.start, each.source)):
        if timelines and _adjoin(timelines[-1][-1], each):
            timelines[-1].append(each)
        else:
            timelines.append([each])
    return [_chunks(timeline, chunk_s) for timeline in timelines]


def _adjoin(before: Recording, after: Recording) -> bool:
    """Returns whether recordings follow each other; only stated times join."""
    gap_s = (after.start - before.start).total_seconds() - before.duration_s
    stated = before.states_start and after.states_start
    alike = before.place == after.place and before.kind == after.kind
    return stated and alike and -EARLY_S <= gap_s <= LATE_S


def _chunks(timeline: Sequence[Recording], chunk_s: float) -> list[Chunk]:
    offset_s, keys, segments = 0.0, list[float](), list[Segment]()
    for each in timeline:
        segments.append(Segment(replace(each, keys_s=()), offset_s))  # a worker needs no key frames
        keys += [offset_s + key for key in each.keys_s]
        offset_s += each.duration_s
    borders = [0.0, *_borders(keys, offset_s, chunk_s), math.inf]
    return [_chunk(segments, pair, offset_s) for pair in pairwise(borders)]


def _borders(keys: Sequence[float], length_s: float, chunk_s: float) -> Iterator[float]:
    """Yields times that are `WARM_UP_S` after a key frame and at least `chunk_s` apart."""
    border = 0.0
    while (number := bisect_left(keys, border + chunk_s - WARM_UP_S)) < len(keys):
        border = keys[number] + WARM_UP_S
        if border > length_s - chunk_s / 4:
            return
        yield border


def _chunk(segments: Sequence[Segment], borders: tuple[float, float], length_s: float) -> Chunk:
    begin, end, order = borders[0] - WARM_UP_S, borders[1] + LOOK_AHEAD_S, attrgetter("offset_s")
    first = max(0, bisect_right(segments, begin, key=order) - 1)
    used = segments[first : bisect_left(segments, end, key=order)]
    camera, origin_s = used[0].file.camera, used[0].offset_s
    own = tuple(replace(each, offset_s=each.offset_s - origin_s) for each in used)
    start_s, end_s = (border - origin_s for border in borders)
    read_s = min(borders[1], length_s) - borders[0]
    return Chunk(camera, own, origin_s, start_s, end_s, used[-1] == segments[-1], read_s)


def segment_at(chunk: Chunk, time_s: float) -> tuple[Segment, float]:
    """Returns the segment of a time, and its media time in this."""
    found = (each for each in reversed(chunk.segments) if each.offset_s <= time_s + 1e-6)
    segment = next(found, chunk.segments[0])
    return segment, max(0.0, time_s - segment.offset_s)
