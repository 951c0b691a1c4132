"""Measures what viewers cost recognition: python -m tests.web.bench_viewers."""

# ruff: noqa: T201 - prints its results
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from plateid.capture.video_file import read_video
from plateid.config.models import ModelsConfig
from plateid.config.root import Config
from plateid.core.records import Frame
from plateid.demo import DEMO_VIDEO
from plateid.models.networks import Networks
from plateid.pipeline.camera_pipeline import CameraPipeline
from plateid.pipeline.event_builder import EventBuilder, PipelineSettings
from plateid.store.event_store import EventStore
from plateid.web.server import WebServer
from tests.support.broker import free_port, until
from tests.support.samples import NO_HOOKS, NOON, make_health
from tests.web.viewer import open_stream

ROUNDS, ROUND_S, SETTLE_S = 12, 2.0, 1.0
FRAMES, FPS = 100, 15
WATCHING, STALLED = (0, 1, 4, 0), (0, 0, 0, 20)
"""Numbers of viewers in each kind of round: those that read, and those that do not."""


@dataclass(frozen=True)
class Cost:
    """The cost of one round.

    Attributes:
        frame_ms: Time per frame, milliseconds.
        frame_cpu_ms: CPU time of the recognition thread per frame, milliseconds.
        others: Cores used by all other threads, including the web server.
    """

    frame_ms: float
    frame_cpu_ms: float
    others: float


class Recognition:
    """The recognition of one camera at full speed, in the calling thread."""

    def __init__(self, server: WebServer) -> None:
        """Shows each frame in the web UI, as the service does."""
        self._server = server
        self._frames = list(itertools.islice(read_video(DEMO_VIDEO), FRAMES))
        self._count = itertools.count()
        networks = Networks(ModelsConfig())
        self._pipeline = CameraPipeline(
            PipelineSettings("drive"),
            EventBuilder("gate", networks.names, lambda: next(self._count)),
            detect=networks.detector().detect,
            read=networks.reader().read,
            sink=lambda _event: None,
        )

    def work(self, seconds: float) -> Cost:
        """Processes frames for some time."""
        begun, spent, own, count = time.perf_counter(), time.process_time(), time.thread_time(), 0
        while (passed := time.perf_counter() - begun) < seconds:
            self._process(self._next())
            count += 1
        own = time.thread_time() - own
        others = time.process_time() - spent - own
        return Cost(1000 * passed / count, 1000 * own / count, others / passed)

    def _process(self, frame: Frame) -> None:
        self._server.show(frame, self._pipeline.process(frame))

    def _next(self) -> Frame:
        number = next(self._count)
        at = NOON + timedelta(seconds=number / FPS)
        frame = self._frames[number % FRAMES]
        return replace(frame, camera="drive", sequence=number, captured_at=at)


@contextmanager
def viewers(server: WebServer, port: int, watching: int, stalled: int) -> Iterator[None]:
    with ExitStack() as stack:
        if watching:
            command = [sys.executable, "-m", "tests.web.viewer", str(port), str(watching)]
            process = stack.enter_context(subprocess.Popen(command))
            stack.callback(process.kill)
        for _ in range(stalled):
            stack.enter_context(closing(open_stream(port, buffer=4096)))
        until(lambda: server._live.streams == watching + stalled, 60)
        yield
    until(lambda: server._live.streams == 0, 60)


def measured(server: WebServer, port: int) -> list[list[Cost]]:
    """Repeats rounds of all kinds, one after the other."""
    recognition, rounds = Recognition(server), []
    recognition.work(SETTLE_S)
    for _ in range(ROUNDS):
        costs = []
        for watching, stalled in zip(WATCHING, STALLED, strict=True):
            with viewers(server, port, watching, stalled):
                recognition.work(SETTLE_S)
                costs.append(recognition.work(ROUND_S))
        rounds.append(costs)
    return rounds


def table(rounds: list[list[Cost]]) -> Iterator[str]:
    """Yields medians and the ratios to the rounds without viewers."""
    heads = "viewers", "ms a frame", "ratio", "CPU ms", "ratio", "others"
    yield "{:>10} {:>12} {:>18} {:>8} {:>18} {:>8}".format(*heads)
    for index, (watching, stalled) in enumerate(zip(WATCHING, STALLED, strict=True)):
        costs = [each[index] for each in rounds]
        clock = [each[index].frame_ms / each[0].frame_ms for each in rounds]
        cpu = [each[index].frame_cpu_ms / each[0].frame_cpu_ms for each in rounds]
        yield (
            f"{f'{stalled} stalled' if stalled else watching:>10}"
            f" {statistics.median(cost.frame_ms for cost in costs):12.1f} {spread(clock):>18}"
            f" {statistics.median(cost.frame_cpu_ms for cost in costs):8.1f} {spread(cpu):>18}"
            f" {statistics.median(cost.others for cost in costs):8.1%}"
        )


def spread(ratios: list[float]) -> str:
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.3f} ({low:.2f}-{high:.2f})"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        tables = {"camera": [{"name": "drive", "url": "-"}], "web": {"enabled": True, "port": port}}
        config = Config.model_validate(tables | {"store": {"path": Path(folder) / "store.sqlite3"}})
        with closing(EventStore(config.store.path)) as store:
            server = WebServer(
                config, make_health(store, cameras=("drive",)).report, hooks=NO_HOOKS
            )
            server.check()
            print(f"{ROUNDS} rounds of {ROUND_S:g} s each, {config.web.fps} images a second")
            print(*table(measured(server, port)), sep="\n")
            server.stop()


if __name__ == "__main__":
    main()
