"""Frames of live cameras: RTSP, HTTP and V4L2."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread
from typing import cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from plateid.backoff import Backoff, Outage
from plateid.capture.container import TIMEOUT_S, open_container, packets, redacted
from plateid.capture.decoder import MAX_UNPROVEN_S, StreamDecoder
from plateid.capture.video_image import VideoImage
from plateid.config.cameras import DecoderName
from plateid.core.clock import CLOCK
from plateid.core.records import Frame
from plateid.errors import SourceError

MAX_DAMAGED = 250
"""Consecutive damaged packets after which a camera counts as failed: about 10 s of video."""
MAX_TIMEOUTS = 3
"""Number of time-outs after which a stream without video ends. FFmpeg itself may need three."""

MAX_LAG_S, LAG_LASTS_S = 1.5, 1.0
"""Lag, and how long it has to last, before packets are skipped: later frames open a gate too late.
What a network pause held back is decoded in less time."""
CAUGHT_UP_S = 0.3
"""Lag at which decoding goes on."""
CATCH_UP_TIMEOUT_S = 2.0
"""Buffered packets are read in less time; a lag that stays longer means a changed camera clock."""
MAX_SKIP_S = 10.0
"""Decoding goes on after this without a key frame: some cameras refresh the image gradually."""
CLOCK_DRIFT = 1e-3
"""Upper bound of the relative drift between the camera's clock and ours."""
RECOVERED_S = 60.0
"""Time without lag after which the outage ends."""


@dataclass(frozen=True)
class SourceInfo:
    """The first image of a source, its frames a second if known, and what decoded it."""

    image: VideoImage
    fps: float | None
    decoder: str

    def __str__(self) -> str:
        rate = f"{self.fps:.0f} frames a second" if self.fps else "unknown frame rate"
        decoder = "" if self.decoder == "software" else f", decoder {self.decoder}"
        return f"{self.image.width}x{self.image.height}, {rate}{decoder}"


def probe(
    url: str,
    *,
    timeout_s: float = TIMEOUT_S,
    options: Mapping[str, str] | None = None,
    limit_s: float = math.inf,
    decoder: DecoderName = "software",
) -> SourceInfo:
    """Decodes one frame; SourceError if none comes within six time-outs or `limit_s`."""
    answer: Future[SourceInfo] = Future()

    def work() -> None:
        try:
            answer.set_result(_probe(url, timeout_s, options, StreamDecoder(decoder)))
        except SourceError as error:
            answer.set_exception(error)

    Thread(target=work, name="probe", daemon=True).start()  # V4L2 may block for ever
    try:
        # once to open it, once for a frame
        return answer.result(wait_s := min(limit_s, 2 * MAX_TIMEOUTS * timeout_s))
    except TimeoutError:
        raise SourceError(redacted(url), f"delivers no frame within {wait_s:g} s") from None


def _probe(
    url: str, timeout_s: float, options: Mapping[str, str] | None, decoder: StreamDecoder
) -> SourceInfo:
    with open_container(url, timeout_s, options) as (container, stream):
        for frame in _frames(container, stream, timeout_s, decoder):
            rate = stream.average_rate or stream.guessed_rate
            return SourceInfo(VideoImage(frame), float(rate) if rate else None, decoder.used)
    raise SourceError(redacted(url), "delivers no frame")


def read_stream(
    name: str,
    url: str,
    *,
    timeout_s: float = TIMEOUT_S,
    options: Mapping[str, str] | None = None,
    decoder: StreamDecoder | None = None,
) -> Iterator[Frame]:
    """Yields the frames of a live source. Raises SourceError if it fails, ends, or sends no video.

    Missing video is detected within three times `timeout_s`. FFmpeg's `options` apply to V4L2
    devices. Without a `decoder`, FFmpeg decodes in software.
    """
    with open_container(url, timeout_s, options) as (container, stream):
        lag = None
        if container.format.name == "rtsp" and stream.time_base:  # only RTSP has camera timestamps
            lag = DecodeLag(float(stream.time_base), Outage(f"decoding of {name}", Backoff()))
        frames = _frames(container, stream, timeout_s, decoder or StreamDecoder(), lag=lag)
        for sequence, frame in enumerate(frames):
            step = CLOCK.step()
            yield Frame(
                name, sequence, CLOCK.now() + step, None, VideoImage(frame), step, frame.time
            )
    raise SourceError(redacted(url), "the stream ended")


def _frames(
    container: InputContainer,
    stream: VideoStream,
    timeout_s: float,
    decoder: StreamDecoder,
    *,
    lag: "DecodeLag | None" = None,
) -> Iterator[av.VideoFrame]:
    """Yields decoded frames; a stream joined between key frames starts with undecodable packets."""
    decoder.open(stream, min(MAX_UNPROVEN_S, 2 * timeout_s))  # the stream ends after three
    damaged, skipped, last = 0, False, time.monotonic()
    for packet in packets(container):  # audio may go on while the video has stopped
        if time.monotonic() - last > MAX_TIMEOUTS * timeout_s:
            raise SourceError(redacted(container.name), "sends no video any more")
        if packet.stream.index != stream.index:
            continue
        if lag and lag.should_skip(packet):
            skipped, last = True, time.monotonic()
            continue
        if skipped:
            decoder.flush()  # the key frame after a gap needs no older frame
            skipped = False
        frames = decoder.decode(cast("Packet[VideoStream]", packet))
        damaged = 0 if frames else damaged + (frames is None)
        if damaged > MAX_DAMAGED:
            raise SourceError(redacted(container.name), "sends damaged video only")
        for frame in frames or ():
            if stream.codec_context.name == "rawvideo":
                frame.make_writable()  # copies it: a V4L2 buffer disappears with the device
            yield frame
            last = time.monotonic()


class DecodeLag:
    """The lag of a live stream whose packets carry the camera's timestamps.

    A device that decodes more slowly than its camera records falls further and further behind.
    Then packets are skipped up to the next key frame, which needs no earlier packet. The outage
    starts with the first skipped packet and ends when the lag has not returned for `RECOVERED_S`.
    """

    def __init__(
        self, tick_s: float, outage: Outage, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Starts without lag; `tick_s` is the time base of the timestamps, in seconds."""
        self._tick_s = tick_s
        self._outage = outage
        self._clock = clock
        self._min_offset_s = math.inf
        self._last = clock()
        self._late_since: float | None = None
        self._skipping_since: float | None = None
        self._skipped_at = -math.inf

    def should_skip(self, packet: "Packet[Stream]") -> bool:
        """Returns whether this packet must not be decoded."""
        now, ticks = self._clock(), packet.dts if packet.pts is None else packet.pts
        if ticks is None:
            return False
        offset_s = now - ticks * self._tick_s
        drift_s = CLOCK_DRIFT * (now - self._last)
        self._min_offset_s = min(offset_s, self._min_offset_s + drift_s)
        self._last = now
        lag_s = offset_s - self._min_offset_s
        if self._skipping_since is None:
            self._watch(lag_s, now)
        else:
            self._catch_up(lag_s, now, is_keyframe=packet.is_keyframe)
        return self._skipping_since is not None

    def _watch(self, lag_s: float, now: float) -> None:
        if lag_s <= MAX_LAG_S:
            self._late_since = None
            if now - self._skipped_at > RECOVERED_S:
                self._outage.recovered()
            return
        if self._late_since is None:
            self._late_since = now
        if now - self._late_since > LAG_LASTS_S:
            self._skipping_since = now
            self._outage.failed("slower than the camera's frame rate")

    def _catch_up(self, lag_s: float, now: float, *, is_keyframe: bool) -> None:
        self._skipped_at, skipping_s = now, now - (self._skipping_since or 0.0)
        clock_changed = lag_s > CAUGHT_UP_S and skipping_s > CATCH_UP_TIMEOUT_S
        caught_up = lag_s <= CAUGHT_UP_S
        if (is_keyframe and (clock_changed or caught_up)) or skipping_s > MAX_SKIP_S:
            self._skipping_since = self._late_since = None
            if clock_changed:
                self._min_offset_s += lag_s
