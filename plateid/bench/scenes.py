"""Videos and frames to measure with, made from the demo video."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from plateid.capture.video_file import read_video
from plateid.capture.video_image import VideoImage
from plateid.core.records import Frame, Image
from plateid.demo import DEMO_VIDEO

WIDTH, HEIGHT, FPS = 1920, 1080, 15
"""Frame size and rate of the videos: a usual camera."""
BITS_A_SECOND = 4_000_000
"""Bit rate of the videos: a usual setting of cameras."""
NOISE = 2.0
"""Standard deviation of the image noise, grey levels: a camera by day."""
STILL_S = 10
"""Duration of the still scene, seconds."""
COLUMNS = 5
"""Plates side by side in a crowded frame."""
STEP_PX = 6
"""Movement of a plate between two frames, pixels."""
PATCH_FRAME, PATCH = 105, (138.1, 410.1, 469.9, 577.4)
"""Frame and box of a plate of the demo video, 24 pixels high, with the vehicle around it, which
detectors use."""
START = datetime(2026, 1, 1, tzinfo=UTC)
"""Time of the first rendered frame. Any fixed time will do."""


def write_traffic(path: Path, video: Path) -> None:
    """Writes the video as a camera sends it: 1080p, 15 frames a second."""
    times = itertools.groupby(read_video(video), lambda frame: _number(frame.media_time_s or 0.0))
    _write(path, (next(frames).image.resized(WIDTH, HEIGHT) for _, frames in times))


def _number(media_time_s: float) -> int:
    """Returns the number of the frame of a video at `FPS` that shows a time."""
    return int(media_time_s * FPS + 1e-3)


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


def write_still(path: Path, video: Path) -> None:
    """Writes a scene without movement: the first frame of the video with camera noise."""
    frame = next(read_video(video))
    image = frame.image.resized(WIDTH, HEIGHT).astype(np.float32)
    rng = np.random.default_rng(0)
    noise = [rng.normal(0, NOISE, image.shape).astype(np.float32) for _ in range(FPS)]
    _write(
        path,
        (np.clip(image + noise[n % FPS], 0, 255).astype(np.uint8) for n in range(STILL_S * FPS)),
    )


def crowded(count: int, frames: int) -> Iterator[Frame]:
    """Yields frames of 1080p with a number of moving plates of the demo video."""
    video = itertools.islice(read_video(DEMO_VIDEO), PATCH_FRAME, None)
    patch = next(video).image.crop(PATCH)
    height, width = patch.shape[:2]
    rng = np.random.default_rng(0)
    road = rng.normal(90, NOISE, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    for n in range(frames):
        pixels = road.copy()
        for plate in range(count):
            row, column = divmod(plate, COLUMNS)
            x = column * WIDTH // COLUMNS + n * STEP_PX % (WIDTH // COLUMNS - width)
            y = (row + 1) * HEIGHT // (COLUMNS + 1) - height // 2
            pixels[y : y + height, x : x + width] = patch
        image = av.VideoFrame.from_ndarray(pixels, "bgr24").reformat(format="yuv420p")
        at = START + timedelta(seconds=n / FPS)
        yield Frame("crowd", n, at, n / FPS, VideoImage(image))


def _write(path: Path, images: Iterator[Image]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "superfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate, stream.gop_size = BITS_A_SECOND, 2 * FPS
        stream.codec_context.max_b_frames = 0
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, "bgr24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
