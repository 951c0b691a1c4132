"""Videos to measure with, made from the demo video."""

import itertools
from fractions import Fraction
from pathlib import Path

import av

from plateid.capture.video_file import read_video

WIDTH, HEIGHT, FPS = 1920, 1080, 15
"""Frame size and rate of the videos: a usual camera."""
BITS_A_SECOND = 4_000_000
"""Bit rate of the videos: a usual setting of cameras."""


def write_traffic(path: Path, video: Path) -> None:
    """Writes the video as a camera sends it: 1080p, 15 frames a second."""
    times = itertools.groupby(read_video(video), lambda f: int((f.media_time_s or 0) * FPS + 1e-3))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "superfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate, stream.gop_size = BITS_A_SECOND, 2 * FPS
        stream.codec_context.max_b_frames = 0
        for number, (_, frames) in enumerate(times):
            frame = av.VideoFrame.from_ndarray(next(frames).image.resized(WIDTH, HEIGHT), "bgr24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_rotated(path: Path, video: Path, part: float) -> None:
    """Moves the first part (0-1) of a video to its end, without encoding it again."""
    with av.open(str(video)) as source, av.open(str(path), "w") as container:
        packets = [packet for packet in source.demux(video=0) if packet.dts is not None]
        times = [(packet.pts, packet.dts) for packet in packets]
        wanted = int(part * len(packets))
        start = max(n for n, packet in enumerate(packets[: wanted + 1]) if packet.is_keyframe)
        stream = container.add_stream_from_template(source.streams.video[0])
        for packet, (pts, dts) in zip(packets[start:] + packets[:start], times, strict=True):
            packet.pts, packet.dts, packet.stream = pts, dts, stream
            container.mux(packet)
