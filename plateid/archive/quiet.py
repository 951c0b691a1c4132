"""`--fast`: decodes only key frames while nothing moves.

A group of pictures (GOP) is decoded in full if its key frame or the next one shows motion, if its
packets are larger than usual (a vehicle may pass between two key frames), or if a vehicle in view
may still move. Its packets are kept until that is known.
"""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

import av
import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream

from plateid.capture.gop_decoder import GopDecoder, Packets, gops
from plateid.capture.video_file import VideoFile
from plateid.capture.video_image import VideoImage
from plateid.core.records import Frame
from plateid.pipeline.camera_pipeline import CameraPipeline
from plateid.pipeline.motion import MotionGate
from plateid.pipeline.stationary import STATIONARY_S

MAX_GOP_S = 4.0
"""Longest GOP that is skipped, seconds: in a longer one, much may happen."""
WINDOW, USUAL_GOPS = 5, 40
"""Number of packets whose sizes are added, and number of GOPs that show what is usual."""
LARGER, LARGER_BYTES = 2.0, 500
"""A sum of sizes above `LARGER` times the usual one and `LARGER_BYTES` more is motion."""
QUIET_SHARE = 25
"""Percentile of the largest sums of all GOPs that is usual: most of the time nothing moves."""


class QuietGate:
    """Chooses the frames of a chunk that the pipeline gets."""

    def __init__(self, pipeline: CameraPipeline) -> None:
        self._pipeline = pipeline
        self._gate = MotionGate()
        self._peaks = deque[float](maxlen=USUAL_GOPS)

    def frames(
        self, video: VideoFile, packets: Iterable["Packet[VideoStream]"]
    ) -> Iterator[Sequence[av.VideoFrame]]:
        """Yields lists of frames in order: all while something may move, else key frames."""
        decoder = GopDecoder(video)
        key, gop, moved = None, Packets(), True
        for following in itertools.chain(gops(packets), [Packets()]):
            next_key = decoder.key_frame(following)
            moves = bool(following) and (next_key is None or self._moves(next_key))
            if key is None or moved or moves or self._is_large(video, gop) or self._awaits_pass():
                yield from decoder.all_frames(gop)
            else:
                yield [*decoder.drained(), key]
            key, gop, moved = next_key, following, moves
        yield decoder.drained()

    def _is_large(self, video: VideoFile, gop: Packets) -> bool:
        sizes = [packet.size for packet in gop[1:]] or [0]
        largest = float(max(np.convolve(sizes, np.ones(WINDOW))))
        usual = np.percentile(self._peaks, QUIET_SHARE) if self._peaks else 0.0
        self._peaks.append(largest)
        times = [each.pts for each in gop if each.pts is not None] or [0]
        long_s = (max(times) - min(times)) * (video.stream.time_base or 0)
        return bool(largest > LARGER * usual + LARGER_BYTES) or long_s > MAX_GOP_S

    def _moves(self, frame: av.VideoFrame) -> bool:
        at = datetime.fromtimestamp(frame.time or 0.0, UTC)
        self._gate.passes(Frame("", 0, at, None, VideoImage(frame)))
        return not self._gate.still

    def _awaits_pass(self) -> bool:
        return any(
            vehicle.movement.stationary_s(vehicle.last_seen) < STATIONARY_S
            for vehicle in self._pipeline.open_passes()
        )
