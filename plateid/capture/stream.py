"""Frames from clips and cameras."""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from plateid.backoff import Backoff, Outage
from plateid.capture.container import (
    NO_OPTIONS,
    STALL_S,
    Source,
    decoded,
    is_file,
    live_source,
    opened,
    packets,
    redacted,
)
from plateid.capture.lag import Lag
from plateid.capture.video import VideoImage
from plateid.core.records import Frame
from plateid.errors import SourceError

MAX_DAMAGED = 250
"""Damaged packets in a row after which a camera counts as broken; ten seconds of most."""
LONGEST = 3
"""A stream without pictures ends after so many times the time-out, as FFmpeg's own may."""
_KNOWS_ITS_LENGTH = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "flv", "asf"}
"""Containers that say how long they are; of others FFmpeg guesses it."""
_SLACK_S, _SLACK_FRAMES = 0.2, 2
"""A clip that ends by more than both before its time has been cut off."""
_REORDERED_S = 1.0
"""Times that go back by more begin anew: recordings were joined, or the time before was wrong."""
_BETWEEN_BLOCKS = 1024
"""More bytes than Matroska puts between two packets, headers of clusters included (25)."""
_FIRST_CAMERAS = datetime(2000, 1, 1, tzinfo=UTC)
"""Creation times before it are those of unset clocks."""


@dataclass(frozen=True)
class SourceInfo:
    """What a source delivers: pixels as displayed, and frames a second where it says so."""

    width: int
    height: int
    fps: float | None


def probe(
    url: str, *, timeout_s: float = STALL_S, options: Mapping[str, str] = NO_OPTIONS
) -> SourceInfo:
    """Opens a camera or clip and decodes one frame.

    Raises:
        SourceError: It cannot be opened, or gives no frame.
    """
    if is_file(url):
        return _probed(Source(url), timeout_s)
    answer: Future[SourceInfo] = Future()

    def ask() -> None:
        try:
            answer.set_result(_probed(live_source(url, timeout_s, options), timeout_s))
        except SourceError as error:
            answer.set_exception(error)

    Thread(target=ask, name="probe", daemon=True).start()  # V4L2 may block for ever
    try:
        return answer.result(2 * LONGEST * timeout_s)  # to open it, and for a picture
    except TimeoutError:
        raise SourceError(redacted(url), "gives no picture") from None


def _probed(source: Source, timeout_s: float) -> SourceInfo:
    with opened(source) as (container, stream):
        for frame in _frames(container, stream, timeout_s):
            image = VideoImage(frame)
            rate = stream.average_rate or stream.guessed_rate
            return SourceInfo(image.width, image.height, float(rate) if rate else None)
    raise SourceError(redacted(source.url), "gives no picture")


def read_stream(
    name: str,
    url: str,
    *,
    timeout_s: float = STALL_S,
    options: Mapping[str, str] = NO_OPTIONS,
    behind: Callable[[], bool] = lambda: False,
) -> Iterator[Frame]:
    """The frames of a live source (rtsp://, http(s)://, /dev/videoN), for as long as it lasts.

    A device is opened with `options`. A frame's `captured_at` is the clock after decoding. The
    iterator never just ends. While `behind` says that nobody has time for more, frames that no
    other is made of are not decoded; what is decoded too slowly is caught up with (`Lag`).

    Raises:
        SourceError: It cannot be opened, stops, or sends no picture for `timeout_s` (it takes up to
            three times as long).
    """
    with opened(live_source(url, timeout_s, options)) as (container, stream):
        lag = None
        if container.format.name == "rtsp" and stream.time_base:  # others have times of their own
            lag = Lag(float(stream.time_base), Outage(f"decoding of {name}", Backoff()))
        for sequence, frame in enumerate(_frames(container, stream, timeout_s, behind, lag=lag)):
            yield Frame(name, sequence, datetime.now(UTC), None, VideoImage(frame))
    raise SourceError(redacted(url), "the stream ended")


def _frames(
    container: InputContainer,
    stream: VideoStream,
    timeout_s: float,
    behind: Callable[[], bool] = lambda: False,
    *,
    lag: Lag | None = None,
) -> Iterator[av.VideoFrame]:
    """What decodes; a stream that is joined between key frames starts with packets that do not."""
    damaged, skipped, last = 0, False, time.monotonic()
    for packet in packets(container):  # sound may go on without the pictures
        if time.monotonic() - last > LONGEST * timeout_s:
            raise SourceError(redacted(container.name), "sends no picture any more")
        if packet.stream.index != stream.index:
            continue
        if lag and lag.is_to_skip(packet):
            skipped, last = True, time.monotonic()
            continue
        if skipped:
            stream.codec_context.flush_buffers()  # it needs nothing of before
            skipped = False
        stream.codec_context.skip_frame = "NONREF" if behind() else "DEFAULT"
        frames = decoded(cast("Packet[VideoStream]", packet))
        damaged = 0 if frames else damaged + (frames is None)
        if damaged > MAX_DAMAGED:
            raise SourceError(redacted(container.name), "sends damaged video only")
        for frame in frames or ():
            if stream.codec_context.name == "rawvideo":
                frame.make_writable()  # of V4L2 it is the driver's buffer, gone with the device
            yield frame
            last = time.monotonic()


def clip_length(path: Path) -> int | None:
    """About how many frames a clip has; None when its container does not say.

    Raises:
        SourceError: It cannot be opened.
    """
    with opened(Source(str(path))) as (container, stream):
        if stream.frames:
            return stream.frames
        if container.duration and stream.average_rate:
            return round(container.duration / av.time_base * stream.average_rate)
        return None


def read_clip(path: Path) -> Iterator[Frame]:
    """Every frame of a clip.

    `captured_at` is the creation time that the container states, or else when the file was last
    changed, plus the media time, which counts from the first frame.

    Raises:
        SourceError: The file is missing, empty or not a video; or, after all frames that can be
            decoded, it is damaged, or shorter than its container states.
    """
    changed_at = _changed_at(path)
    with opened(Source(str(path))) as (container, stream):
        clip = _Clip(path, container, stream)
        start = _created_at(container.metadata) or changed_at
        for sequence, frame in enumerate(clip.frames()):
            media_time_s = clip.media_time_s(frame)
            captured_at = start + timedelta(seconds=media_time_s)
            yield Frame(str(path), sequence, captured_at, media_time_s, VideoImage(frame))
        clip.check()
        if sequence == 0:  # HEIC and AVIF pictures look like clips
            raise SourceError(path, "holds a single picture; convert it to JPEG or PNG")


def _changed_at(path: Path) -> datetime:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise SourceError(path, "does not exist") from None
    except OSError as error:
        raise SourceError(path, error.strerror) from error
    if status.st_size == 0:
        raise SourceError(path, "is empty")
    return datetime.fromtimestamp(status.st_mtime, UTC)


def _created_at(metadata: dict[str, str]) -> datetime | None:
    try:
        created_at = datetime.fromisoformat(metadata.get("creation_time", ""))
    except ValueError:
        return None
    aware = created_at if created_at.tzinfo else created_at.replace(tzinfo=UTC)
    return aware if aware >= _FIRST_CAMERAS else None


class _Clip:
    """Decodes a file to its end, past damaged packets, and knows how far it came."""

    def __init__(self, path: Path, container: InputContainer, stream: VideoStream) -> None:
        self._path = path
        self._container = container
        self._stream = stream
        self._first_s: float | None = None
        self._media_time_s = 0.0
        self._ends: dict[int, int] = {}  # of each stream
        self._read_to: tuple[int, int] | None = None  # where the last block begins and ends
        self._damaged_s: float | None = None

    def frames(self) -> Iterator[av.VideoFrame]:
        """Every frame that can be decoded. Audio is read for its times: a clip ends as both do."""
        for packet in packets(self._container):
            self._note_end(packet)
            self._note_hole(packet)
            if packet.stream.index == self._stream.index:
                yield from self._decoded(cast("Packet[VideoStream]", packet))

    def _decoded(self, packet: "Packet[VideoStream]") -> list[av.VideoFrame]:
        """A clip may begin between key frames, with packets that nobody can decode."""
        frames = decoded(packet)
        if frames is None or packet.is_corrupt or any(frame.is_corrupt for frame in frames):
            self._note_damage()
        return frames or []

    def media_time_s(self, frame: av.VideoFrame) -> float:
        """Seconds after the first frame; by the frame rate where the container has no times."""
        if self._first_s is None:
            self._first_s = frame.time or 0.0
            return 0.0
        next_s = self._media_time_s + 1 / float(self._stream.guessed_rate or 25)
        time_s = next_s if frame.time is None else frame.time - self._first_s
        if time_s < self._media_time_s - _REORDERED_S:
            self._first_s += time_s - next_s
            time_s = next_s
        self._media_time_s = max(self._media_time_s, time_s)
        return self._media_time_s

    def check(self) -> None:
        """Raises SourceError unless the whole clip was there."""
        if self._first_s is None:
            raise SourceError(self._path, "no picture of it can be decoded")
        length_s = (self._container.duration or 0) / av.time_base
        slack_s = max(_SLACK_S, _SLACK_FRAMES / float(self._stream.average_rate or 25))
        if self._container.format.name in _KNOWS_ITS_LENGTH and self._end_s() < length_s - slack_s:
            reason = f"is cut off: it stops after {self._media_time_s:.1f} s of {length_s:.1f} s"
            raise SourceError(self._path, reason)
        if self._damaged_s is not None:
            raise SourceError(self._path, f"is damaged after {self._damaged_s:.1f} s")

    def _note_end(self, packet: "Packet[Stream]") -> None:
        """Notes where its stream ends, in ticks: to compute with fractions takes 50 us."""
        time = packet.dts if packet.pts is None else packet.pts
        if time is not None:
            index, end = packet.stream.index, time + (packet.duration or 0)
            self._ends[index] = max(self._ends.get(index, end), end)

    def _note_hole(self, packet: "Packet[Stream]") -> None:
        """FFmpeg skips damaged Matroska without a word, up to the next cluster it understands."""
        if self._container.format.name != "matroska,webm" or packet.pos is None:
            return
        begin, end = self._read_to or (packet.pos, packet.pos)
        if packet.pos == begin:  # one block may hold several packets
            self._read_to = (begin, end + packet.size)
            return
        if packet.pos - end > _BETWEEN_BLOCKS:
            self._note_damage()
        self._read_to = (packet.pos, packet.pos + packet.size)

    def _note_damage(self) -> None:
        """After the first picture: before it, a clip that begins between key frames looks so."""
        if self._first_s is not None and self._damaged_s is None:
            self._damaged_s = self._media_time_s

    def _end_s(self) -> float:
        """Of the longest stream, after the start of the container."""
        streams = self._container.streams
        ends = [float(end * (streams[i].time_base or 0)) for i, end in self._ends.items()]
        return max(ends, default=0.0) - (self._container.start_time or 0) / av.time_base
