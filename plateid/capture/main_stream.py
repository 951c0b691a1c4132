"""The main stream of a camera: kept as packets, and decoded only where a plate is read."""

import math
import threading
import time
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from typing import cast

import av.error
import structlog
from av.codec.context import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from plateid.backoff import Backoff
from plateid.capture.container import open_container, packets, redacted
from plateid.capture.mapping import Mapping, MappingError
from plateid.capture.stream import MAX_TIMEOUTS
from plateid.capture.stream_clock import StreamClock, Timeline
from plateid.capture.video_image import VideoImage
from plateid.core.records import CloseUp, Frame, LazyImage
from plateid.errors import SourceError

MAX_BYTES = 48_000_000
"""Maximum size of the kept packets of a camera, bytes: two groups of 10 s at 16 Mbit/s."""
MAX_GROUP_S = 10.0
"""Longest time without a key frame, seconds: decoding a longer group takes too long."""
CHEAP_FRAMES = 8
"""Number of frames that are decoded for any read. A read that needs more must be urgent."""
LATE_S = 0.25
"""Longest wait for the packet of a moment, and longest distance of its frame, seconds."""
MAX_MISSES = 12
"""Consecutive plates missing in the main stream after which the mapping is measured again."""
RETRY = Backoff(2.0, 300.0)
"""Waits between two measurements of the mapping; each decodes a key frame."""

log = structlog.get_logger()


@dataclass(eq=False)
class _Group:
    """A key frame and the packets up to the next one, in order of decoding."""

    stream: VideoStream
    packets: "list[Packet[VideoStream]]" = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    size_bytes: int = 0

    def add(self, packet: "Packet[VideoStream]", at_s: float) -> None:
        self.packets.append(packet)
        self.times.append(max(at_s, self.times[-1]) if self.times else at_s)  # B-frames step back
        self.size_bytes += packet.size


class _GroupDecoder:
    """Decodes one group forwards; `fed` packets are decoded already."""

    def __init__(self, group: _Group) -> None:
        context, self.group, self.fed = group.stream.codec_context, group, 0
        self._context = cast("VideoCodecContext", CodecContext.create(context.name, "r"))
        self._context.extradata, self._context.thread_type = context.extradata, "SLICE"
        self._frame: VideoFrame | None = None
        self._is_flushed = False
        self._frame_s, self._tick_s = -math.inf, float(group.stream.time_base or 0)

    def frame_at(self, at_s: float) -> VideoFrame | None:
        """Returns the frame of a moment, or the last one if it is hardly earlier."""
        while not self._has_reached(at_s) and self.fed < len(self.group.packets):
            self._feed(self.group.packets[self.fed], at_s)
            self.fed += 1
        if not self._has_reached(at_s) and self._context.has_b_frames:
            self._feed(None, at_s)  # the decoder holds frames back to order them
            self._is_flushed = True
        return self._frame if abs(self._frame_s - at_s) <= LATE_S else None

    def can_show(self, group: _Group, at_s: float) -> bool:
        """Returns whether the frame of a moment is still to be decoded."""
        return self.group is group and not self._is_flushed and self._frame_s < at_s + LATE_S

    def _feed(self, packet: "Packet[VideoStream] | None", at_s: float) -> None:
        for frame in self._context.decode(packet):
            if not self._has_reached(at_s) and frame.pts is not None:
                self._frame, self._frame_s = frame, frame.pts * self._tick_s

    def _has_reached(self, at_s: float) -> bool:
        times = self.group.times
        half_s = (times[-1] - times[0]) / max(1, len(times) - 1) / 2
        return self._frame_s >= at_s - half_s


class MainStream:
    """Keeps the packets of the last two groups of pictures; `run` is the work of one thread.

    `state` says whether plates are read from it, or why they are read from the sub-stream.
    """

    def __init__(self, camera: str, url: str, timeout_s: float) -> None:
        """Opens nothing yet."""
        self.camera, self.url, self._timeout_s = camera, url, timeout_s
        self.clock = StreamClock()
        self.sub: LazyImage | None = None
        self.state = ""
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._groups: deque[_Group] = deque()
        self._decoder: _GroupDecoder | None = None
        self._decoding = threading.Lock()
        self._mapping: Mapping | None = None
        self._misses = self._failures = 0
        self._measure_at = 0.0

    @property
    def size_bytes(self) -> int:
        """Size of the kept packets."""
        return sum(group.size_bytes for group in self._groups)

    def run(self) -> None:
        """Demultiplexes until `stop` is called, through all outages."""
        failures, backoff = 0, Backoff(cap_s=10.0)
        while not self._stopping.wait(backoff.delay_s(failures) if failures else 0):
            try:
                self._receive()
            except SourceError as error:
                failures = 1 if self._groups else failures + 1
                if failures == 1:
                    self._report(f"sub-stream ({error})")
            with self._changed:
                self._groups.clear()

    def stop(self) -> None:
        """Ends `run` at its next packet or time-out; does not wait for it."""
        self._stopping.set()

    def is_cheap(self, frame: Frame) -> bool:
        """Returns whether few frames have to be decoded for the picture of this moment."""
        if (
            not self._mapping
            or (at_s := self._moment(frame)) is None
            or (group := self._group_at(at_s)) is None
        ):
            return True
        decoder = self._decoder
        fed = decoder.fed if decoder and decoder.group is group else 0
        return bisect_right(group.times, at_s) - fed <= CHEAP_FRAMES

    def look(self, frame: Frame) -> CloseUp | None:
        """Returns the picture of the moment of a sub-stream's frame; None if there is none."""
        at_s, mapping = self._moment(frame), self._mapping
        if at_s is None or mapping is None:
            return None
        picture = self._picture(at_s)
        if picture is None or mapping.sizes != _sizes(frame.image, picture):
            if picture is not None:
                self._forget_mapping()
            return None
        return mapping.close_up(picture)

    def learn(self, *, found: bool, late_s: float | None = None) -> None:
        """Takes in whether a plate was where it was expected, and how late it was if known."""
        self._misses = 0 if found else self._misses + 1
        if late_s is not None:
            self.clock.correct(late_s)
        if self._misses >= MAX_MISSES:
            self._forget_mapping()
            self._report("sub-stream (plates are not where they are expected)")

    def _moment(self, frame: Frame) -> float | None:
        offset_s = self.clock.offset_s() if self._groups else None
        return None if frame.stream_s is None or offset_s is None else frame.stream_s + offset_s

    def _picture(self, at_s: float) -> VideoImage | None:
        with self._changed:
            self._changed.wait_for(lambda: self._newest_s() >= at_s, LATE_S)
        group = self._group_at(at_s)
        with self._decoding:
            if group is None:
                return None
            if not self._decoder or not self._decoder.can_show(group, at_s):
                self._decoder = _GroupDecoder(group)
            try:
                frame = self._decoder.frame_at(at_s)
            except av.error.FFmpegError as error:
                self._decoder = None
                self._report(f"sub-stream ({error.strerror})")
                return None
        return VideoImage(frame) if frame else None

    def _newest_s(self) -> float:
        return self._groups[-1].times[-1] if self._groups else float("inf")

    def _group_at(self, at_s: float) -> _Group | None:
        groups = [group for group in tuple(self._groups) if group.times[0] <= at_s + LATE_S / 10]
        return groups[-1] if groups else None

    def _receive(self) -> None:
        with open_container(self.url, self._timeout_s) as (container, stream):
            self._forget_mapping()
            self.clock.restart(main=Timeline())
            last = time.monotonic()
            for packet in packets(container):
                now = time.monotonic()
                if self._stopping.is_set():
                    return
                if packet.stream.index == stream.index:
                    last = now
                    self._add(cast("Packet[VideoStream]", packet), stream)
                elif now - last > MAX_TIMEOUTS * self._timeout_s:
                    raise SourceError(redacted(self.url), "sends no video any more")
        raise SourceError(redacted(self.url), "the stream ended")

    def _add(self, packet: "Packet[VideoStream]", stream: VideoStream) -> None:
        at_s = self.clock.main.add(packet)
        if at_s is None:
            return
        with self._changed:
            if packet.is_keyframe:
                self._groups.append(_Group(stream))
            if not self._groups:
                return
            group = self._groups[-1]
            group.add(packet, at_s)
            if at_s - group.times[0] > MAX_GROUP_S or self.size_bytes > MAX_BYTES:
                self._groups.popleft()
                self._report(f"sub-stream (no key frame for {MAX_GROUP_S:.0f} s)")
            while len(self._groups) > 2:  # noqa: PLR2004 - the last one and that before
                self._groups.popleft()
            if self._decoder and self._decoder.group not in self._groups:
                self._decoder = None  # frees its pictures
            self._changed.notify_all()
        if packet.is_keyframe and self._mapping is None and time.monotonic() >= self._measure_at:
            self._measure()

    def _measure(self) -> None:
        """Measures the mapping on the newest key frame."""
        sub, group = self.sub, self._groups[-1]
        frame = _GroupDecoder(group).frame_at(group.times[0]) if sub else None
        if sub is None or frame is None:
            return
        try:
            self._mapping = Mapping.measured(sub, VideoImage(frame))
        except MappingError as error:
            self._failures += 1
            self._measure_at = time.monotonic() + RETRY.delay_s(self._failures)
            self._report(f"sub-stream ({error})")
        else:
            self._failures = self._misses = 0
            self._report(f"main stream ({self._mapping})")

    def _forget_mapping(self) -> None:
        self._mapping = None
        self._failures = self._misses = 0
        self._measure_at = 0.0

    def _report(self, state: str) -> None:
        if state != self.state:
            self.state = state
            log.info("plates are read", camera=self.camera, source=state)


def _sizes(sub: LazyImage, main: LazyImage) -> tuple[int, int, int, int]:
    return sub.width, sub.height, main.width, main.height
