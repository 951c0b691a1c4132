"""Measures reading in a 4K main stream: python -m tests.capture.bench_main_stream [VEHICLES].

A street is shown in the middle of a 4K picture, so small that its plates are up to 70 pixels wide.
Its plates are read in four ways: in the street itself at 1280 x 720 (the close-up), in the
sub-stream alone (the whole picture at 1280 x 720), in sub-stream and main stream over RTSP, and in
both without a clock, as on a machine that drops no frame. The street is the demo video; with
VEHICLES, it is rendered in the environment of the trainer.
"""

# ruff: noqa: T201 - it prints what it measured
import itertools
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np

from plateid import ALPR
from plateid.capture.main_stream import MainStream
from plateid.capture.stream_clock import Timeline
from plateid.capture.video_file import read_video
from plateid.core.records import Frame, Image, PlateEvent
from plateid.core.text import normalise
from plateid.core.view import View
from plateid.demo import DEMO_VIDEO
from tests.capture.test_camera import Watched
from tests.support.rtsp import LoopingServer
from tests.support.stream_pair import FPS, Encoder, scene

MAIN, SUB, CLOSE = (3840, 2160), (1280, 720), (1280, 720)
SMALL, PLACE = (512, 288), (slice(936, 1224), slice(1664, 2176))
SKEW_S = 0.4
"""How fast the main stream's clock is, seconds: that of no camera, which has one clock."""
ROI = ((0.42, 0.42), (0.58, 0.42), (0.58, 0.58), (0.42, 0.58))
QUIET_S = 20
DAY_FRAMES = 12 * FPS


def street_of(count: int) -> tuple[set[str], Iterator[Image]]:
    """Returns the plates of a street and its images."""
    if not count:
        known = json.loads(DEMO_VIDEO.with_suffix(".json").read_text())["vehicles"]
        day = [each["plate"] for each in known if each["first_frame"] < 2 * DAY_FRAMES]
        return set(day), iter(scene(DAY_FRAMES))
    from train.street.frames import render
    from train.street.scenario import random_street

    street = random_street(count, seed=5, every_s=2.5)
    images = (frame.image for frame in render(street, size=CLOSE, fps=FPS))
    return {normalise(vehicle.plate) for vehicle in street.vehicles}, images


def write_videos(folder: Path, prefix: str, images: Iterable[Image]) -> None:
    """Writes main.mp4, sub.mp4 and close.mp4."""
    canvas = None
    names = [folder / f"{prefix}{name}.mp4" for name in ("main", "sub", "close")]
    with (
        Encoder(names[0], MAIN, {}) as main,
        Encoder(names[1], SUB, {}) as sub,
        Encoder(names[2], CLOSE, {}) as close,
    ):
        for image in images:
            if canvas is None:
                canvas = cv2.resize(image, MAIN)
            canvas[PLACE] = cv2.resize(image, SMALL, interpolation=cv2.INTER_AREA)
            main.write(canvas)
            sub.write(cv2.resize(canvas, SUB, interpolation=cv2.INTER_AREA))
            close.write(image)


@contextmanager
def watching(folder: Path, prefix: str = "", *, main: bool) -> Iterator[Watched]:
    skews_s = {"sub": 0.0, "main": SKEW_S}
    servers = [
        LoopingServer(folder / f"{prefix}{name}.mp4", skew_s=skew) for name, skew in skews_s.items()
    ]
    for server in servers:
        server.start()
        time.sleep(0.4)  # the timestamps of both begin at different moments
    keys = {"main_url": servers[1].url} if main else {}
    watched = Watched(servers[0].url, timeout_s=5, **keys)
    try:
        with watched.running(stops_within_s=20):
            yield watched
    finally:
        for server in servers:
            server.kill()


def frames_of(watched: Watched, seconds: float) -> Iterator[Frame]:
    ends_at = time.monotonic() + seconds
    for frame in watched.frames():
        yield frame
        if time.monotonic() > ends_at:
            return


def frames_in_turn(folder: Path) -> Iterator[Frame]:
    """Yields the frames of the sub-stream, each once the main stream's next packet is there."""
    main, sub = MainStream("bench", "rtsp://bench/", 5.0), Timeline()
    main.restart(sub)
    with av.open(str(folder / "main.mp4")) as large:
        stream = large.streams.video[0]
        packets = (packet for packet in large.demux(stream) if packet.size)
        main._add(next(packets), stream)
        for frame in read_video(folder / "sub.mp4"):
            for packet in itertools.islice(packets, 1):
                main._add(packet, stream)
            main.sub = frame.image
            sub.arrivals.append(main.clock.main.arrivals[-1])
            for timeline in (sub, main.clock.main):
                timeline.camera_times.append(0.0)
            yield replace(frame, main=main, stream_s=frame.media_time_s)


def events_of(frames: Iterable[Frame], view: View) -> list[PlateEvent]:
    events: list[PlateEvent] = []
    pipeline = ALPR().pipeline("bench", events.append)
    pipeline.apply(replace(pipeline.settings, view=view), same_source=True)
    for frame in frames:
        pipeline.process(frame)
    pipeline.finish()
    return [event for event in events if event.event_type == "plate_left"]


def print_accuracy(name: str, events: list[PlateEvent], plates: set[str]) -> None:
    read = {event.plate for event in events}
    widths = [event.box[2] - event.box[0] for event in events] or [0]
    print(
        f"{name}: {100 * len(plates & read) / len(plates):.0f} % of {len(plates)} plates right, "
        f"{len(read - plates)} wrong; their best boxes are {np.median(widths):.0f} px wide",
        flush=True,
    )


def quiet_cpu_s(folder: Path, *, main: bool) -> float:
    """Returns the CPU time of a second of a quiet scene, and prints the memory."""
    with watching(folder, "quiet-", main=main) as watched:
        events_of(frames_of(watched, 8), View(ROI, zoom=True))  # warms up
        began = time.process_time()
        events_of(frames_of(watched, QUIET_S), View(ROI, zoom=True))
        used = time.process_time() - began
        if main_stream := watched.camera.main:
            print(f"quiet: {main_stream.state}, {main_stream.size_bytes / 1e6:.1f} MB of packets")
    return used / QUIET_S


def main() -> None:
    folder = Path(sys.argv[2] if sys.argv[2:] else tempfile.mkdtemp())
    plates, images = street_of(int(sys.argv[1]) if sys.argv[1:] else 0)
    if not (folder / "quiet-close.mp4").exists():
        write_videos(folder, "", images)
        write_videos(folder, "quiet-", scene(2 * FPS))
    alone, both = (quiet_cpu_s(folder, main=main) for main in (False, True))
    print(f"quiet: {1e3 * alone:.0f} ms of CPU a second alone, {1e3 * both:.0f} with main_url")
    print(f"quiet: {both / alone:.2f} times the sub-stream alone; peak memory {memory_mb():.0f} MB")
    close, view = list(read_video(folder / "close.mp4")), View(ROI, zoom=True)
    print_accuracy("close-up", events_of(close, View()), plates)
    for name, main in (("sub-stream alone", False), ("with main_url", True)):
        with watching(folder, main=main) as watched:
            seconds = len(close) / FPS + 5
            print_accuracy(name, events_of(frames_of(watched, seconds), view), plates)
    events = events_of(frames_in_turn(folder), view)
    print_accuracy("with main_url, without a clock", events, plates)
    print(f"peak memory {memory_mb():.0f} MB")


def memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
