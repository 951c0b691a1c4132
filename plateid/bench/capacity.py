"""Runs `plateid run` with a number of cameras and a broker, and measures its load."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import paho.mqtt.client as mqtt
from prometheus_client.parser import text_string_to_metric_families

from plateid.bench.scenes import write_rotated
from plateid.demo import HOST, broker, free_port, subscriber
from plateid.errors import PlateidError

START_S = 60.0
"""Maximum time until the broker or the service has started, seconds."""
WARM_UP_S = 12.0
"""Seconds before the measurement: stationary vehicles take some seconds until they are settled."""
POLL_S = 0.2
"""Seconds between two checks whether a process has started."""
STARTS = 8
"""Different positions at which cameras start the video; more cameras share them."""
MAX_DROPPED = 0.01
"""Maximum share of dropped frames at which streams count as held in real time."""


class BenchError(PlateidError):
    """The broker or the service did not start."""


@dataclass(frozen=True)
class Load:
    """The load of a number of cameras.

    Attributes:
        cameras: Number of cameras that play the same video, each from another position.
        cores: CPU seconds of the service in one second.
        dropped: Share of frames that the service had no time for.
        skipped: Share of frames that were not needed, because all passes were settled.
        min_rate, max_rate: Processed frames a second of the slowest and the fastest camera.
        latency_ms: Time from capture to a subscriber, of each `plate_seen`.
        memory_mb: Resident memory at the end.
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

    def latency(self, percent: float) -> float | None:
        """Returns a percentile of the latency in milliseconds; None without an event."""
        return float(np.percentile(self.latency_ms, percent)) if self.latency_ms else None


def measure(video: Path, cameras: int, *, folder: Path, bundle: Path, seconds: float) -> Load:
    """Runs `plateid run` with a number of cameras that play a video again and again.

    They start at different positions, because vehicles do not reach all cameras at the same time.

    Raises:
        PlateidError: The broker or the service does not start.
    """
    folder.mkdir()
    with _broker(folder) as port, _latencies(port) as received:
        metrics_port = free_port()
        metrics = f"http://{HOST}:{metrics_port}/metrics"
        videos = _rotated(folder, video, min(cameras, STARTS))
        urls = [str(videos[n % len(videos)]) for n in range(cameras)]
        config = _write_config(folder, urls, bundle=bundle, ports=(port, metrics_port))
        with _service(config) as process:
            _wait_online(process, metrics, cameras)
            time.sleep(WARM_UP_S)
            before, began = _sample(process, metrics), len(received)
            time.sleep(seconds)
            after, ended = _sample(process, metrics), len(received)
    elapsed_s = after.at - before.at
    frames = {name: after.frames[name] - before.frames[name] for name in after.frames}
    dropped = {name: after.dropped[name] - before.dropped[name] for name in after.frames}
    skipped = {name: after.skipped[name] - before.skipped[name] for name in after.frames}
    rates = [(frames[name] - dropped[name] - skipped[name]) / elapsed_s for name in frames]
    return Load(
        cameras,
        (after.cpu_s - before.cpu_s) / elapsed_s,
        sum(dropped.values()) / max(1, sum(frames.values())),
        sum(skipped.values()) / max(1, sum(frames.values())),
        min(rates),
        max(rates),
        received[began:ended],
        after.memory_mb,
    )


@dataclass(frozen=True)
class _Sample:
    at: float
    cpu_s: float
    memory_mb: float
    frames: dict[str, float]
    dropped: dict[str, float]
    skipped: dict[str, float]


@contextmanager
def _broker(folder: Path) -> Iterator[int]:
    """Runs mosquitto if it is installed, else the slower broker of the demo; gives the port."""
    mosquitto = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if mosquitto is None:
        with broker() as port:
            yield port
        return
    port, file = free_port(), folder / "mosquitto.conf"
    file.write_text(
        f"listener {port} {HOST}\nallow_anonymous true\nlog_dest none\nset_tcp_nodelay true\n"
    )
    with subprocess.Popen([mosquitto, "-c", str(file)]) as process:  # noqa: S603 - found above
        try:
            _wait_listens(port)
            yield port
        finally:
            process.terminate()


def _wait_listens(port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(POLL_S)
    raise BenchError("mosquitto", "did not start")


def _rotated(folder: Path, video: Path, count: int) -> list[Path]:
    """Writes copies of the video that start at evenly spread positions."""
    files = [folder / f"from-{n}{video.suffix}" for n in range(count)]
    for n, file in enumerate(files):
        write_rotated(file, video, n / count)
    return files


def _write_config(folder: Path, urls: list[str], *, bundle: Path, ports: tuple[int, int]) -> Path:
    tables = "".join(
        f'[[camera]]\nname = "camera-{n}"\nurl = {json.dumps(url)}\nloop = true\n'
        for n, url in enumerate(urls)
    )
    file = folder / "plateid.toml"
    file.write_text(
        f'device = "bench"\n{tables}'
        f"[models]\nbundle = {json.dumps(str(bundle.resolve()))}\n"
        f"[mqtt]\nport = {ports[0]}\n[metrics]\nenabled = true\nport = {ports[1]}\n"
    )
    return file


@contextmanager
def _service(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "plateid", "run", "-c", str(config)]
    with (
        config.with_name("log").open("wb") as log,
        subprocess.Popen(  # noqa: S603 - ourselves
            command, stderr=log
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def _latencies(port: int) -> Iterator[list[float]]:
    """Collects the latency of each `plate_seen`, milliseconds."""
    latencies: list[float] = []

    def take(message: mqtt.MQTTMessage) -> None:
        event = json.loads(message.payload)
        if event["event_type"] == "plate_seen":
            late = datetime.now(UTC) - datetime.fromisoformat(event["last_seen"])
            latencies.append(1000 * late.total_seconds())

    with subscriber(port, ["plateid/bench/+/event"], take):
        yield latencies


def _wait_online(process: subprocess.Popen[bytes], metrics: str, cameras: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if sum(count > 0 for count in _sample(process, metrics).frames.values()) == cameras:
                return
        except urllib.error.URLError:
            pass
        time.sleep(POLL_S)
    raise BenchError("plateid run", "did not start")


def _sample(process: subprocess.Popen[bytes], metrics: str) -> _Sample:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(metrics, timeout=START_S) as answer:
        families = {f.name: f for f in text_string_to_metric_families(answer.read().decode())}
    frames, dropped, skipped = (
        {sample.labels["camera"]: sample.value for sample in families[name].samples}
        for name in ("plateid_frames", "plateid_frames_dropped", "plateid_frames_skipped")
    )
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    memory_mb = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return _Sample(time.monotonic(), cpu_s, memory_mb, frames, dropped, skipped)
