"""Soak test of the service, which must not grow: `python -m tests.soak`.

It runs `plateid run` with several cameras that play the demo video at twice its speed, and with
one RTSP camera. Every minute the broker and the RTSP server are killed and restarted, and the
configuration is reloaded. It prints one line per minute with the highest use of resources, and one
line of JSON at the end. It exits with 1 if memory grew by more than 5 % since the third minute, or
if the number of threads or open files grew.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import av

from plateid.demo import DEMO_VIDEO
from plateid.store.event_store import EventStore
from tests.support.broker import Broker
from tests.support.rtsp import RtspServer

SPEED = 2
"""Speed-up of the demo video."""
WARM_UP = 2
"""Number of minutes before the comparison: networks, decoders and memory pools still grow."""
MAX_GROWTH = 0.05
"""Maximum growth of memory, as a fraction."""
SAMPLE_S = 0.5
"""Interval between two measurements, seconds."""
MINUTE_S = 60


def speed_up(video: Path, out: Path) -> Path:
    """Copies the video with `SPEED` times the frame rate."""
    with av.open(str(video)) as source, av.open(str(out), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.time_base /= SPEED
                packet.stream = copy
                target.mux(packet)
    return out


def usage(pid: int) -> dict[str, float]:
    """Returns the resources that a process uses now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    return {
        "rss_mb": int(status["VmRSS"].split()[0]) / 1024,
        "anonymous_mb": int(status["RssAnon"].split()[0]) / 1024,
        "threads": int(status["Threads"]),
        "files": len(list(Path(f"/proc/{pid}/fd").iterdir())),
    }


@contextmanager
def service(
    folder: Path, broker: Broker, rtsp: RtspServer, videos: int
) -> Iterator[subprocess.Popen[bytes]]:
    clip = speed_up(DEMO_VIDEO, folder / "clip.mp4")
    cameras = {f"video-{n}": f'url = "{clip}"\nloop = true' for n in range(videos)}
    cameras["rtsp"] = f'url = "{rtsp.url}"'
    tables = "".join(f'[[camera]]\nname = "{n}"\n{keys}\n' for n, keys in cameras.items())
    config = folder / "plateid.toml"
    config.write_text(f'{tables}[mqtt]\nport = {broker.port}\n[store]\npath = "events.sqlite3"\n')
    command = [sys.executable, "-m", "plateid", "run", "-c", str(config)]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        yield process
        process.terminate()
        if process.wait() != 0:
            sys.exit((folder / "log").read_text())


def soak(minutes: int, videos: int, folder: Path) -> list[dict[str, float]]:
    rows = []
    rtsp = RtspServer()
    with closing(Broker(folder)) as broker, service(folder, broker, rtsp, videos) as process:
        faults = {
            10: broker.kill,
            20: broker.start,
            30: rtsp.kill,
            40: rtsp.start,
            50: lambda: process.send_signal(signal.SIGHUP),
        }
        broker.start()
        rtsp.start()
        started = time.monotonic()
        for minute in range(1, minutes + 1):
            most = run_minute(process.pid, faults)
            with closing(EventStore(folder / "events.sqlite3")) as store:
                counts = store.counts()
            rows.append({"minute": minute} | most | {"events": counts.events})
            sys.stdout.write(line(rows[-1]) + f"  to send {counts.outbox}\n")
            sys.stdout.flush()
        rows[-1]["seconds"] = time.monotonic() - started
        rtsp.kill()
    return rows


def run_minute(pid: int, faults) -> dict[str, float]:
    started, due = time.monotonic(), dict(faults)
    most: dict[str, float] = {}
    while (now_s := time.monotonic() - started) < MINUTE_S:
        for second in [second for second in due if second <= now_s]:
            due.pop(second)()
        held = usage(pid)
        most = {key: max(value, most.get(key, 0)) for key, value in held.items()}
        time.sleep(SAMPLE_S)
    return {key: round(value, 1) for key, value in most.items()}


def line(row: dict[str, float]) -> str:
    return "  ".join(f"{key} {value:g}" for key, value in row.items())


def growth(rows: list[dict[str, float]]) -> dict[str, float]:
    """Returns the growth since the warm-up: fractions for memory, numbers for the rest."""
    first, last = rows[min(WARM_UP, len(rows) - 1)], rows[-1]
    return {
        "rss": round(last["rss_mb"] / first["rss_mb"] - 1, 3),
        "anonymous": round(last["anonymous_mb"] / first["anonymous_mb"] - 1, 3),
        "threads": last["threads"] - first["threads"],
        "files": last["files"] - first["files"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument(
        "--videos", type=int, default=3, help="number of cameras that play the demo video"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="plateid-soak-") as folder:
        rows = soak(options.minutes, options.videos, Path(folder))
    increase = growth(rows)
    sys.stdout.write(json.dumps({"minutes": rows, "growth": increase}) + "\n")
    memory_is_flat = max(increase["rss"], increase["anonymous"]) <= MAX_GROWTH
    sys.exit(not memory_is_flat or increase["threads"] > 0 or increase["files"] > 0)


if __name__ == "__main__":
    main()
