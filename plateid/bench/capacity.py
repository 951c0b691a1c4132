"""Runs `plateid run` with a number of cameras and a webhook, and measures its load."""

import itertools
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from plateid.capture.video_file import read_video
from plateid.demo import HOST, free_port
from plateid.errors import ServiceError

START_S = 60.0
"""Maximum time until the service has started, seconds."""
WARM_UP_S = 12.0
"""Seconds before the measurement: stationary vehicles take some seconds until they are settled."""
POLL_S = 0.2
"""Seconds between two checks whether the service has started."""
STARTS = 8
"""Different positions at which cameras start the video; more cameras share them."""
MAX_DROPPED = 0.01
"""Maximum share of dropped frames at which streams count as held in real time."""
COUNTS = ("plateid_frames", "plateid_frames_dropped", "plateid_frames_skipped")
"""Metrics of each camera that are compared before and after."""
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens URLs without a proxy."""

WIDTH, HEIGHT, FPS = 1920, 1080, 15
"""Frame size and rate of the videos: a usual camera."""
BITS_A_SECOND = 4_000_000
"""Bit rate of the videos: a usual setting of cameras."""


@dataclass(frozen=True)
class Load:
    """The load of a number of cameras.

    `cores` are CPU seconds of the service in one second. `dropped` and `skipped` are shares of the
    frames; the latter were not needed. The rates are processed frames a second of the slowest and
    the fastest camera. `latency_ms` is from capture to the webhook, of each `plate_seen`.
    """

    cameras: int
    cores: float
    dropped: float
    skipped: float
    min_rate: float
    max_rate: float
    latency_ms: list[float]
    memory_mb: float

    @property
    def held(self) -> bool:
        """Whether the service kept up with all streams."""
        return self.dropped <= MAX_DROPPED

    @property
    def percentiles(self) -> dict[str, Any]:
        """The median and the 95th percentile of the latency; None without an event."""
        late = self.latency_ms
        return {
            f"latency_p{p}_ms": float(np.percentile(late, p)) if late else None for p in (50, 95)
        }


def measure(video: Path, cameras: int, *, folder: Path, bundle: Path, seconds: float) -> Load:
    """Runs `plateid run` with a number of cameras that play a video again and again.

    They start at different positions, because vehicles do not reach all cameras at the same time.
    Raises ServiceError if the service does not start.
    """
    folder.mkdir()
    videos = [folder / f"from-{n}{video.suffix}" for n in range(min(cameras, STARTS))]
    for n, file in enumerate(videos):
        write_rotated(file, video, n / len(videos))
    urls = [str(videos[n % len(videos)]) for n in range(cameras)]
    with (
        _latencies() as (webhook, received),
        _service(folder, urls, webhook, bundle=bundle) as (pid, metrics),
    ):
        time.sleep(WARM_UP_S)
        before_s, before_cpu_s, _, before = _sample(pid, metrics)
        began = len(received)
        time.sleep(seconds)
        after_s, after_cpu_s, memory_mb, after = _sample(pid, metrics)
    elapsed_s = after_s - before_s
    frames, dropped, skipped = after - before
    rates = (frames - dropped - skipped) / elapsed_s
    every = max(1, frames.sum())
    return Load(
        cameras,
        cores=(after_cpu_s - before_cpu_s) / elapsed_s,
        dropped=float(dropped.sum() / every),
        skipped=float(skipped.sum() / every),
        min_rate=float(rates.min()),
        max_rate=float(rates.max()),
        latency_ms=received[began:],
        memory_mb=memory_mb,
    )


@contextmanager
def _service(
    folder: Path, urls: list[str], webhook: str, *, bundle: Path
) -> Iterator[tuple[int, str]]:
    """Runs the service, waits until all cameras work, and gives its process and its metrics."""
    port, config = free_port(), folder / "plateid.toml"
    tables = "".join(
        f'[[camera]]\nname = "camera-{n}"\nurl = {json.dumps(url)}\nloop = true\n'
        for n, url in enumerate(urls)
    )
    config.write_text(
        f'device = "bench"\n{tables}[[webhook]]\nname = "bench"\nurl = "{webhook}"\n'
        'events = ["plate_seen"]\n'
        f"[models]\nbundle = {json.dumps(str(bundle.resolve()))}\n"
        f"[mqtt]\nport = {free_port()}\n[metrics]\nenabled = true\nport = {port}\n"
    )
    metrics, deadline = f"http://{HOST}:{port}/metrics", time.monotonic() + START_S
    command = [sys.executable, "-m", "plateid", "run", "-c", str(config)]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stderr=log) as process,  # noqa: S603 - ourselves
    ):
        try:
            while not _all_online(metrics):
                if time.monotonic() > deadline or process.poll() is not None:
                    raise ServiceError(" ".join(command), "did not start")
                time.sleep(POLL_S)
            yield process.pid, metrics
        finally:
            process.terminate()


@contextmanager
def _latencies() -> Iterator[tuple[str, list[float]]]:
    """Runs a webhook; gives its URL and the latency of each `plate_seen`, milliseconds."""
    latencies: list[float] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()
            late = datetime.now(UTC) - datetime.fromisoformat(event["last_seen"])
            latencies.append(1000 * late.total_seconds())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer((HOST, 0), Webhook) as server:
        Thread(target=server.serve_forever, name="webhook", daemon=True).start()
        yield f"http://{HOST}:{server.server_port}/", latencies
        server.shutdown()


def _sample(pid: int, metrics: str) -> tuple[float, float, float, NDArray[np.float64]]:
    """Returns the time, the CPU time (seconds), the memory (MB) and the counts of frames."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    memory_mb = int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return time.monotonic(), cpu_s, memory_mb, _counts(metrics)


def _counts(metrics: str) -> NDArray[np.float64]:
    """Returns the counts of frames, shape (COUNTS, cameras)."""
    with DIRECT.open(metrics, timeout=START_S) as answer:
        families = {f.name: f for f in text_string_to_metric_families(answer.read().decode())}
    return np.array([[sample.value for sample in families[name].samples] for name in COUNTS])


def _all_online(metrics: str) -> bool:
    with suppress(OSError):  # it does not listen yet
        return bool(_counts(metrics)[0].all())
    return False


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
