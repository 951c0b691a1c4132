"""Reads the frames of a video file, and reports damage and truncation."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from plateid.capture.container import decode, open_container, packets, source_errors
from plateid.capture.video_image import VideoImage
from plateid.core.clock import CLOCK
from plateid.core.records import Frame
from plateid.errors import SourceError

_STATES_DURATION = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "flv", "asf"}
"""Container formats whose header states the duration; FFmpeg estimates it for all others."""
_SLACK_S, _SLACK_FRAMES = 0.2, 2
"""Tolerance of the truncation check, seconds and frames: the larger of the two applies."""
_MAX_REORDER_S = 1.0
"""Longest step back between timestamps of one recording, seconds. A longer step starts the next
recording of a joined file."""
_MATROSKA_GAP_BYTES = 1024
"""Gap between two packets above which a Matroska cluster is damaged, bytes. Cluster headers take 25
bytes."""
_EARLIEST_CREATION = datetime(2000, 1, 1, tzinfo=UTC)
"""Earliest creation time that counts. Before it, the clock of the camera was not set."""
_KEY_STEP_S = 5.0
"""Least distance of two listed key frames, seconds: a year of recordings has millions."""
_SEEK_SLACK_S = 1e-3
"""By how much a key frame may follow the time that a search begins at: rounding of its time."""
_DEFAULT_FPS = 25
"""Assumed frame rate of a file that states none, frames a second."""


def frame_count(path: Path) -> int | None:
    """Returns the approximate number of frames; None if the container does not state it."""
    _modified_at(path)  # FFmpeg would wait for ever for some files that the kernel makes up
    with open_container(str(path)) as (container, stream):
        if stream.frames:
            return stream.frames
        if container.duration and stream.average_rate:
            return round(container.duration / av.time_base * stream.average_rate)
        return None


def read_video(path: Path) -> Iterator[Frame]:
    """Yields every frame of a video file.

    `captured_at` is the creation time in the container, or else the file's modification time,
    plus the media time. The media time counts from the first frame. Raises SourceError if the file
    is missing, empty or not a video; or, after all frames that can be decoded, if it is damaged or
    shorter than its container states.
    """
    with open_video(path) as video:
        for sequence, frame in enumerate(video.frames()):
            media_time_s = video.media_time_s(frame)
            captured_at = video.start + timedelta(seconds=media_time_s)
            yield Frame(str(path), sequence, captured_at, media_time_s, VideoImage(frame))
        video.check()
        if sequence == 0:  # HEIC and AVIF images open as videos
            raise SourceError(
                path,
                "holds a single image, not a video; convert HEIC and AVIF images to JPEG or PNG",
            )


@contextmanager
def open_video(path: Path) -> Iterator["VideoFile"]:
    """Opens a video file; raises SourceError if it is missing, empty or not a video."""
    modified_at = _modified_at(path)
    with open_container(str(path)) as (container, stream):
        yield VideoFile(path, container, stream, modified_at)


def play_video(path: Path, *, loop: bool, wait: Callable[[float], object]) -> Iterator[Frame]:
    """Yields the frames of a video file at their recorded pace; `wait` sleeps that many seconds.

    When looping, `media_time_s` continues over the rounds, and `captured_at` is the start of
    playback plus the media time.
    """
    started, started_at = time.monotonic(), CLOCK.now()
    round_s = 0.0
    while True:
        now_s, step_s = round_s, 1 / _DEFAULT_FPS
        for frame in read_video(path):
            before_s, now_s = now_s, round_s + (frame.media_time_s or 0.0)
            step_s = now_s - before_s or step_s
            wait(started + now_s - time.monotonic())
            step = CLOCK.step() if loop else frame.clock_step
            at = started_at + timedelta(seconds=now_s) + step if loop else frame.captured_at
            yield replace(frame, media_time_s=now_s, captured_at=at, clock_step=step)
        if not loop:
            return
        round_s = now_s + step_s


def _modified_at(path: Path) -> datetime:
    with source_errors(path):
        status = path.stat()
    if status.st_size == 0:
        raise SourceError(path, "is empty")
    return datetime.fromtimestamp(status.st_mtime, UTC)


def _created_at(metadata: dict[str, str]) -> datetime | None:
    try:
        created_at = datetime.fromisoformat(metadata.get("creation_time", ""))
    except ValueError:
        return None
    aware = created_at if created_at.tzinfo else created_at.replace(tzinfo=UTC)
    return aware if aware >= _EARLIEST_CREATION else None


def from_pts(frames: Iterable[av.VideoFrame], begin: int | None) -> list[av.VideoFrame]:
    """Returns the frames from a timestamp on; None: all."""
    return [f for f in frames if begin is None or f.pts is None or f.pts >= begin]


def _thinned(times: Iterable[float]) -> list[float]:
    kept = [0.0]
    kept.extend(at_s for at_s in times if at_s >= kept[-1] + _KEY_STEP_S)
    return kept


class VideoFile:
    """Decodes a file despite damaged packets, and records where damage begins.

    `created_at` is the creation time in the container, if there is one; `start` is this or the
    file's modification time. `damaged_at_s` is the media time of the first damage so far.
    """

    def __init__(
        self, path: Path, container: InputContainer, stream: VideoStream, modified_at: datetime
    ) -> None:
        self._path = path
        self.container = container
        self.stream = stream
        self.created_at = _created_at(container.metadata)
        self.start = self.created_at or modified_at
        self._first_s: float | None = None
        self._has_frames = False
        self._begin: int | None = None  # open GOPs hold frames that precede a key frame
        self._media_time_s = 0.0
        self._end_ticks: dict[int, int] = {}  # by stream index
        self._last_block: tuple[int, int] | None = None  # first byte, byte after the last
        self.damaged_at_s: float | None = None

    def frames(self) -> Iterator[av.VideoFrame]:
        """Yields every decodable frame."""
        for packet in self.packets():
            yield from self.decode(packet)

    def packets(self) -> Iterator["Packet[VideoStream]"]:
        """Yields the packets of the video; reads audio as well, for its timestamps."""
        for packet in packets(self.container):
            self._note_end(packet)
            self._note_gap(packet)
            if packet.stream.index == self.stream.index:
                yield cast("Packet[VideoStream]", packet)

    def packets_from(self, time_s: float, first_s: float) -> Iterator["Packet[VideoStream]"]:
        """Yields the packets from the last key frame not after a media time, seconds.

        `first_s` is the timestamp of the first frame. Some containers find a later key frame: then
        the search begins earlier.
        """
        self._first_s, back_s = first_s, 0.0
        while True:
            wanted_s = first_s + max(time_s + _SEEK_SLACK_S - back_s, 0.0)
            self._last_block = None
            self.container.seek(round(wanted_s / (self.stream.time_base or 1)), stream=self.stream)
            found = itertools.dropwhile(lambda each: not each.is_keyframe, self.packets())
            first = next(found, None)
            at_s = None if first is None or first.pts is None else first.pts * first.time_base
            latest_s = first_s + time_s + _SEEK_SLACK_S
            if first is not None and (time_s <= back_s or (at_s or 0) <= latest_s):
                self._begin = first.pts
                return itertools.chain([first], found)
            if time_s <= back_s:
                return iter(())
            back_s = 2 * back_s + 1.0

    def length(self, first_s: float) -> tuple[float, list[float]]:
        """Returns the duration and media times of key frames at least 5 s apart; decodes nothing.

        Without an index in the container, it reads the whole file; without sound timestamps,
        there is only the first key frame. `first_s` is the timestamp of the first frame.
        """
        stream, base = self.stream, float(self.stream.time_base or 0)
        if self.container.format.name.startswith("mov") and stream.duration:
            keys = [each.timestamp for each in stream.index_entries if each.is_keyframe]
            return stream.duration * base, _thinned((key - keys[0]) * base for key in keys)
        times, end_s, sound = list[float](), first_s, True
        self.container.seek(0)
        for packet in self.packets():
            at_s = (packet.pts or 0) * base
            is_sound = packet.pts is not None and at_s >= end_s - _MAX_REORDER_S
            sound &= is_sound or not packet.size
            end_s = max(end_s, at_s + (packet.duration or 0) * base)
            times += [at_s - first_s] if packet.is_keyframe else []
        return end_s - first_s, _thinned(times if sound else ())

    def media_time_s(self, frame: av.VideoFrame) -> float:
        """Returns seconds since the first frame; estimates them if the frame has no timestamp."""
        self._has_frames = True
        if self._first_s is None:
            self._first_s = frame.time or 0.0
            return 0.0
        next_s = self._media_time_s + 1 / float(self.stream.guessed_rate or _DEFAULT_FPS)
        time_s = next_s if frame.time is None else frame.time - self._first_s
        if time_s < self._media_time_s - _MAX_REORDER_S:
            self._first_s += time_s - next_s
            time_s = next_s
        self._media_time_s = max(self._media_time_s, time_s)
        return self._media_time_s

    def check(self) -> None:
        """Raises SourceError unless the whole file was decoded."""
        if not self._has_frames:
            raise SourceError(self._path, "none of its frames can be decoded")
        streams = self.container.streams
        ends = [float(end * (streams[i].time_base or 0)) for i, end in self._end_ticks.items()]
        end_s = max(ends, default=0.0) - (self.container.start_time or 0) / av.time_base
        stated_s = (self.container.duration or 0) / av.time_base
        slack_s = max(_SLACK_S, _SLACK_FRAMES / float(self.stream.average_rate or _DEFAULT_FPS))
        states_duration = self.container.format.name in _STATES_DURATION
        if states_duration and end_s < stated_s - slack_s:
            reason = f"is truncated: it ends after {self._media_time_s:.1f} s of {stated_s:.1f} s"
            raise SourceError(self._path, reason)
        if self.damaged_at_s is not None:
            raise SourceError(self._path, f"is damaged after {self.damaged_at_s:.1f} s")

    def decode(self, packet: "Packet[VideoStream]") -> list[av.VideoFrame]:
        """Returns the frames that a packet completes, and records damage."""
        frames = decode(packet)
        if frames is None or packet.is_corrupt or any(frame.is_corrupt for frame in frames):
            self._note_damage()
        return from_pts(frames or [], self._begin)

    def _note_end(self, packet: "Packet[Stream]") -> None:
        """Records the end of the packet's stream in ticks: Fraction arithmetic takes 50 us."""
        ticks = packet.dts if packet.pts is None else packet.pts
        if ticks is not None:
            index, end = packet.stream.index, ticks + (packet.duration or 0)
            self._end_ticks[index] = max(self._end_ticks.get(index, end), end)

    def _note_gap(self, packet: "Packet[Stream]") -> None:
        """Detects damaged Matroska clusters, which FFmpeg skips without an error."""
        if self.container.format.name != "matroska,webm" or packet.pos is None:
            return
        begin, end = self._last_block or (packet.pos, packet.pos)
        if packet.pos == begin:  # one block may hold several packets
            self._last_block = (begin, end + packet.size)
            return
        if packet.pos - end > _MATROSKA_GAP_BYTES:
            self._note_damage()
        self._last_block = (packet.pos, packet.pos + packet.size)

    def _note_damage(self) -> None:
        """Records the first damage. A recording may begin with packets that cannot be decoded."""
        if self._has_frames and self.damaged_at_s is None:
            self.damaged_at_s = self._media_time_s
