"""Decodes whole groups of pictures (GOPs) of a video file, and single key frames."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import cast

import av
from av.codec.context import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from plateid.capture.container import decode
from plateid.capture.video_file import VideoFile, from_pts

Packets = list[Packet]  # type: ignore[type-arg] # only generic in its stubs
MAX_PACKETS = 300
"""Maximum number of packets that are kept; a longer GOP is split."""


class GopDecoder:
    """Decodes with the decoder of a file, and key frames with another one."""

    def __init__(self, video: VideoFile) -> None:
        self._video, self._own = video, video.stream.codec_context
        self._keys = cast("VideoCodecContext", CodecContext.create(self._own.name, "r"))
        self._keys.extradata = self._own.extradata
        self._fed = False

    def key_frame(self, gop: Packets) -> av.VideoFrame | None:
        """Decodes the key frame of a GOP; None if it is damaged, or there is none."""
        if not gop or not gop[0].is_keyframe:
            return None
        frames = [*(decode(gop[0], self._keys) or ()), *self._drained(self._keys)]
        return frames[0] if frames else None

    def all_frames(self, gop: Packets) -> Iterator[Sequence[av.VideoFrame]]:
        """Yields the frames that the packets complete; after a gap, those from the key frame on."""
        begin = None if self._fed or not gop else gop[0].pts
        for packet in gop:
            self._fed = packet.size > 0
            yield from_pts(self._video.decode(packet), begin)

    def drained(self) -> Sequence[av.VideoFrame]:
        """Returns the frames that the decoder held back to order them."""
        frames = self._drained(self._own) if self._fed else []
        self._fed = False
        return frames

    def _drained(self, context: VideoCodecContext) -> list[av.VideoFrame]:
        frames = context.decode(None)
        for frame in frames:
            frame.time_base = self._video.stream.time_base or Fraction(1)  # PyAV sets none
        context.flush_buffers()
        return frames


def gops(packets: Iterable["Packet[VideoStream]"]) -> Iterator[Packets]:
    """Yields packets in groups that begin with a key frame, except parts of a very long one."""
    gop = Packets()
    for packet in packets:
        if gop and (packet.is_keyframe or len(gop) >= MAX_PACKETS):
            yield gop
            gop = Packets()
        gop.append(packet)
    yield gop
