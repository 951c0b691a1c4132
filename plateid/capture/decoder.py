"""Decodes a live stream in hardware where that works, and in software where it does not."""

import time
from collections.abc import Callable
from typing import cast

import av
import av.error
from av.codec.codec import UnknownCodecError
from av.codec.context import CodecContext
from av.codec.hwaccel import HWAccel
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from plateid.capture.container import decode
from plateid.config.cameras import DecoderName

AUTO: tuple[DecoderName, ...] = ("cuda", "qsv", "v4l2m2m")
"""Hardware decoders in the order in which `auto` tries them."""
MAX_UNPROVEN_S = 6.0
"""Time after which a hardware decoder without a frame has failed, seconds: most cameras have sent a
key frame by then."""
_FAILURES = av.error.FFmpegError, RuntimeError, NotImplementedError, ValueError
"""What FFmpeg and PyAV raise where a decoder is missing or its device does not work."""


class StreamDecoder:
    """The decoder of one stream at a time; `used` says which it is, and why not the wanted one.

    A hardware decoder is used once it has decoded a frame. The packets until then are kept, so
    that the next decoder loses none of them. It is replaced as well if it fails later.
    """

    def __init__(
        self,
        wanted: DecoderName = "software",
        behind: Callable[[], bool] = lambda: False,
        observe: Callable[["Packet[VideoStream]"], object] = lambda _: None,
    ) -> None:
        """Opens nothing yet. While `behind` is true, non-reference frames are not decoded.

        `observe` gets each packet.
        """
        self._observe = observe
        self._wanted = AUTO if wanted == "auto" else (wanted,)
        self._behind = behind
        self.used = ""

    def open(self, stream: VideoStream, limit_s: float = MAX_UNPROVEN_S) -> None:
        """Starts with the packets of another stream; `limit_s` limits the search for a decoder."""
        self._stream, self._limit_s = stream, limit_s
        self._until = time.monotonic() + limit_s
        self._untried: list[str] = [name for name in self._wanted if name != "software"]
        self._refusals: list[str] = []
        self._unproven: list[Packet[VideoStream]] = []
        self._use_next()

    def decode(self, packet: "Packet[VideoStream]") -> list[VideoFrame] | None:
        """Returns the frames that a packet completes; None if the packet is damaged."""
        self._observe(packet)
        self._context.skip_frame = "NONREF" if self._behind() else "DEFAULT"
        return self._decode(packet)

    def flush(self) -> None:
        """Forgets earlier frames: the next packet needs none of them."""
        self._context.flush_buffers()

    def _decode(self, packet: "Packet[VideoStream]") -> list[VideoFrame] | None:
        if not self._is_proven:
            return self._prove(packet)
        try:
            return decode(packet, self._context)
        except _FAILURES as error:
            if self._name == "software":
                raise
            self._unproven = [packet]
            return self._refuse(error)

    def _prove(self, packet: "Packet[VideoStream]") -> list[VideoFrame] | None:
        if packet.is_keyframe or self._unproven:  # earlier ones are undecodable, as if damaged
            self._unproven.append(packet)
        try:
            frames = self._context.decode(packet) if self._unproven else []
            if frames and self._name == "cuda" and not self._context.is_hwaccel:
                raise RuntimeError("FFmpeg decodes in software")
            if not frames and time.monotonic() > self._until:
                raise RuntimeError(f"no frame within {self._limit_s:g} s")
        except _FAILURES as error:
            return self._refuse(error)
        if frames:
            self._settle()
        return frames

    def _refuse(self, error: Exception) -> list[VideoFrame] | None:
        """Gives the packets so far to the next decoder."""
        self._note(error)
        waiting, self._unproven = self._unproven, []
        self._use_next()
        decoded = [self._decode(packet) for packet in waiting]
        return [frame for frames in decoded for frame in frames or ()]

    def _note(self, error: Exception) -> None:
        reason = error.strerror if isinstance(error, av.error.FFmpegError) else str(error)
        missing = "FFmpeg has no " if isinstance(error, UnknownCodecError) else ""
        self._refusals.append(f"{self._name}: {missing}{reason}")

    def _use_next(self) -> None:
        while self._untried:
            self._name = self._untried.pop(0)
            try:
                self._context = _hardware_context(self._stream, self._name)
            except _FAILURES as error:
                self._note(error)
            else:
                self._is_proven = False
                return
        self._name, self._context = "software", self._stream.codec_context
        self._settle()

    def _settle(self) -> None:
        self._is_proven, self._unproven = True, []
        refused = f" ({'; '.join(self._refusals)})" if self._refusals else ""
        self.used = self._name + refused


def _hardware_context(stream: VideoStream, name: str) -> VideoCodecContext:
    """Returns a decoder for the packets of a stream that never decodes in software.

    CUDA is an accelerator of FFmpeg's own decoders; the others are decoders of their own.
    """
    codec, accelerator = stream.codec_context.name, None
    if name == "cuda":
        accelerator = HWAccel(name, allow_software_fallback=False)
    else:
        codec = f"{codec}_{name}"
    context = cast("VideoCodecContext", CodecContext.create(codec, "r", hwaccel=accelerator))
    context.extradata = stream.codec_context.extradata
    context.width, context.height = stream.width, stream.height
    context.open()
    return context
