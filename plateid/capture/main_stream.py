"""The main stream of a camera: kept as packets, and decoded only where a plate is read."""

import math
import threading
import time
from bisect import bisect_right
from collections import deque
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
from plateid.capture.onvif import request_key_frame
from plateid.capture.stream import MAX_TIMEOUTS
from plateid.capture.stream_clock import StreamClock, Timeline
from plateid.capture.video_image import VideoImage
from plateid.core.close_up import CloseUp
from plateid.core.records import Frame, LazyImage
from plateid.errors import SourceError, errors_as

MAX_BYTES = 48_000_000
"""Maximum size of the kept packets of a camera: two groups of 10 s at 16 Mbit/s."""
MAX_GROUP_S = 10.0
"""Longest time without a key frame: decoding a longer group takes too long."""
MIN_GROUPS, MAX_GROUPS, KEEP_S = 2, 64, 1.0
"""Number of groups that are kept, and the time in seconds that more than MIN_GROUPS may cover: a
slow device asks for a moment that late."""
CHEAP_FRAMES = 8
"""Number of frames that may be decoded for a read that is not urgent."""
LATE_S = 0.25
"""Longest wait for the packet of a moment, and largest difference of its frame, seconds."""
RETRY_S = 30.0
"""Time after which the mapping is measured again if it was refused, seconds."""
BACKOFF = Backoff(cap_s=10.0)
"""Waits between two tries to open the stream."""

log = structlog.get_logger()


class Group:
    """A group of pictures: a key frame, the packets up to the next one, and their decoder."""

    def __init__(self, stream: VideoStream, packet: "Packet[VideoStream]", at_s: float) -> None:
        """Starts with a key frame: other threads never see an empty group."""
        self._stream = stream
        self._tick_s = float(stream.time_base or 0)
        self._packets, self.times, self.size_bytes = [packet], [at_s], packet.size
        self._context: VideoCodecContext | None = None
        self._frame: VideoFrame | None = None
        self._fed, self.shown_s = 0, -math.inf

    def add(self, packet: "Packet[VideoStream]", at_s: float) -> None:
        """Appends a packet in order of decoding."""
        self._packets.append(packet)
        self.times.append(max(at_s, self.times[-1]))  # B-frames step back
        self.size_bytes += packet.size

    def frames_until(self, at_s: float) -> int:
        """Returns the number of frames that have to be decoded for a moment."""
        return bisect_right(self.times, at_s) - self._fed

    def frame_at(self, at_s: float) -> VideoFrame | None:
        """Returns the frame of a moment, or one at most LATE_S from it; raises FFmpegError.

        Decoding goes on where it stopped if that was earlier.
        """
        if self._context is None or self.shown_s >= at_s + LATE_S:
            self.release()
            own = self._stream.codec_context
            self._context = cast("VideoCodecContext", CodecContext.create(own.name, "r"))
            self._context.extradata, self._context.thread_type = own.extradata, "SLICE"
        half_s = (self.times[-1] - self.times[0]) / len(self.times) / 2
        context, wanted_s = self._context, at_s - half_s
        while self.shown_s < wanted_s and self._fed < len(self._packets):
            self._keep(context.decode(self._packets[self._fed]), wanted_s)
            self._fed += 1
        if self.shown_s < wanted_s and context.has_b_frames:
            self._keep(context.decode(None), wanted_s)  # it held frames back to order them
            self._context = None
        return self._frame if abs(self.shown_s - at_s) <= LATE_S else None

    def release(self) -> None:
        """Frees the decoder and its frames."""
        self._context = self._frame = None
        self._fed, self.shown_s = 0, -math.inf

    def _keep(self, frames: list[VideoFrame], wanted_s: float) -> None:
        for frame in frames:
            if self.shown_s < wanted_s and frame.pts is not None:
                self._frame, self.shown_s = frame, frame.pts * self._tick_s


class MainStream:
    """Keeps the packets of the last groups of pictures, at least two; `run` is one thread's work.

    `state` says from which stream plates are read, and why. `sub` is the sub-stream's last image.
    """

    def __init__(self, camera: str, url: str, timeout_s: float) -> None:
        self.camera, self.url, self.timeout_s = camera, url, timeout_s
        self.clock = StreamClock()
        self.sub: LazyImage | None = None
        self.state = "sub-stream (connecting to the main stream)"
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._groups: deque[Group] = deque(maxlen=MAX_GROUPS)
        self._mapping: Mapping | None = None
        self._may_ask = True
        self._measure_at = self._shown_late_s = 0.0

    @property
    def size_bytes(self) -> int:
        """Size of the kept packets."""
        return sum(group.size_bytes for group in tuple(self._groups))

    def run(self) -> None:
        """Receives packets until `stop` is called, through all outages."""
        failures = 0
        while not self._stopping.wait(BACKOFF.delay_s(failures) if failures else 0):
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

    def restart(self, sub: Timeline) -> None:
        """Forgets what was measured with a sub-stream that is opened again, or is another one."""
        self.clock.restart(sub=sub)
        self.sub, self._mapping, self._measure_at = None, None, 0.0

    def is_cheap(self, frame: Frame) -> bool:
        """Returns whether few frames have to be decoded for the image of this moment."""
        _, group, at_s = self._place(frame)
        return group is None or group.frames_until(at_s) <= CHEAP_FRAMES

    def close_up(self, frame: Frame) -> CloseUp | None:
        """Returns the image of the moment of a sub-stream's frame; None if there is none."""
        _, group, at_s = self._place(frame)
        if group is not None:
            with self._changed:
                self._changed.wait_for(lambda: self._ends_after(at_s), LATE_S)
        mapping, group, at_s = self._place(frame)
        if group is None or mapping is None:
            return None
        for other in tuple(self._groups):
            if other is not group:
                other.release()
        try:
            found = group.frame_at(at_s)
        except av.error.FFmpegError as error:
            with self._changed:
                self._groups.clear()  # else each read decodes it again up to the damage
            log.warning("main stream is damaged", camera=self.camera, reason=error.strerror)
            return None
        self._shown_late_s = group.shown_s - at_s
        if found is None:
            return None
        image, sub = VideoImage(found), frame.image
        if mapping.sizes != (sub.width, sub.height, image.width, image.height):
            self._mapping = None
            return None
        return mapping.close_up(image)

    def correct_clock(self, late_s: float) -> None:
        """Corrects the clock: the image in which a plate was found was `late_s` too late."""
        self.clock.correct(late_s - self._shown_late_s)

    def _place(self, frame: Frame) -> tuple[Mapping | None, Group | None, float]:
        """Returns the group and the timestamp of a frame's moment, if it can be shown."""
        before, groups = self.clock.source, tuple(self._groups)
        offset_s = self.clock.offset_s()
        if offset_s is not None and self.clock.source != before:
            log.info("streams are aligned", camera=self.camera, by=self.clock.source)
        if frame.stream_s is None or offset_s is None or self._mapping is None:
            return None, None, 0.0
        at_s = frame.stream_s + offset_s
        if groups and at_s - groups[-1].times[-1] > 2 * LATE_S:  # no packets come
            return None, None, 0.0
        begun = [group for group in groups if group.times[0] <= at_s + LATE_S / 10]
        return self._mapping, begun[-1] if begun else None, at_s

    def _ends_after(self, at_s: float) -> bool:
        return not self._groups or self._groups[-1].times[-1] >= at_s

    def _receive(self) -> None:
        with open_container(self.url, self.timeout_s) as (container, stream):
            self.clock.restart(main=Timeline())
            self._mapping, self._measure_at, self._may_ask = None, 0.0, True
            last = time.monotonic()
            for packet in packets(container):
                if self._stopping.is_set():
                    return
                if packet.stream.index == stream.index:
                    last = time.monotonic()
                    self._add(cast("Packet[VideoStream]", packet), stream)
                elif time.monotonic() - last > MAX_TIMEOUTS * self.timeout_s:
                    raise SourceError(redacted(self.url), "sends no video any more")
        raise SourceError(redacted(self.url), "the stream ended")

    def _add(self, packet: "Packet[VideoStream]", stream: VideoStream) -> None:
        if (at_s := self.clock.main.add(packet)) is None:
            return
        if packet.is_keyframe and self._groups and self._mapping:
            self._report(f"main stream ({self._mapping})")
        with self._changed:
            if packet.is_keyframe:
                self._groups.append(Group(stream, packet, at_s))
            elif self._groups:
                self._groups[-1].add(packet, at_s)
            else:
                return
            while len(self._groups) > MIN_GROUPS and abs(at_s - self._groups[1].times[0]) > KEEP_S:
                self._groups.popleft()
            if at_s - self._groups[-1].times[0] > MAX_GROUP_S or self.size_bytes > MAX_BYTES:
                self._groups.popleft()
                if not self._groups:
                    self._report(f"sub-stream (no key frame for {MAX_GROUP_S:.0f} s)")
                    if self._may_ask:
                        threading.Thread(target=self._ask, name="key frame", daemon=True).start()
            self._changed.notify_all()
        if packet.is_keyframe and not self._mapping and time.monotonic() >= self._measure_at:
            self._measure(Group(stream, packet, at_s), at_s)

    def _ask(self) -> None:
        """Asks the camera for a key frame; if it fails, not again before the stream is reopened."""
        try:
            request_key_frame(self.url)
        except SourceError as error:
            self._may_ask = False
            log.warning("no key frame can be requested", camera=self.camera, reason=str(error))

    def _measure(self, group: Group, at_s: float) -> None:
        """Measures the mapping on a key frame; `group` is a new one."""
        timeline = self.clock.sub
        if (sub := self.sub) is None:
            return
        try:
            with errors_as(MappingError, "main stream", av.error.FFmpegError):
                if (frame := group.frame_at(at_s)) is None:
                    return
                mapping = Mapping.measured(sub, VideoImage(frame))
        except MappingError as error:
            self._measure_at = time.monotonic() + RETRY_S
            self._report(f"sub-stream ({error})")
        else:
            if self.clock.sub is timeline:  # else the image is of a sub-stream that has ended
                self._mapping = mapping
                self._report(f"main stream ({mapping})")

    def _report(self, state: str) -> None:
        if state != self.state:
            self.state = state
            log.info("plates are read", camera=self.camera, source=state)
