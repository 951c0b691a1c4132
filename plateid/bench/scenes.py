"""Videos and frames to measure with, made from the demo video."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from plateid.capture.container import open_container
from plateid.capture.video_file import read_video
from plateid.capture.video_image import VideoImage
from plateid.core.geometry import expanded
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
PLATE_HEIGHT = 24
"""Height of a plate in a crowded frame, pixels."""
MARGIN = 1.0, 3.0
"""Margin of the plate image in plate widths and heights: detectors use the vehicle around it."""
START = datetime(2026, 1, 1, tzinfo=UTC)


def write_traffic(path: Path, video: Path) -> None:
    """Writes the video as a camera sends it: 1080p, 15 frames a second."""
    source_fps = _rate(video)
    frames = (
        frame.image.resized(WIDTH, HEIGHT)
        for frame in read_video(video)
        if frame.sequence * FPS // source_fps != (frame.sequence - 1) * FPS // source_fps
    )
    _write(path, frames)


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
    patch = _patch()
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


def _patch() -> Image:
    """Returns a plate of the demo video with its surroundings."""
    vehicle = json.loads(DEMO_VIDEO.with_suffix(".json").read_text())["vehicles"][0]
    heights = [y2 - y1 for _, y1, _, y2 in vehicle["boxes"]]
    index = int(np.argmin(np.abs(np.array(heights) - PLATE_HEIGHT)))
    wanted = vehicle["first_frame"] + index
    frame = next(frame for frame in read_video(DEMO_VIDEO) if frame.sequence == wanted)
    box = expanded(vehicle["boxes"][index], x=MARGIN[0], y=MARGIN[1])
    return frame.image.crop(box)


def _rate(video: Path) -> float:
    with open_container(str(video)) as (_, stream):
        return float(stream.average_rate or stream.guessed_rate or FPS)


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
