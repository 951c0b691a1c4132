"""`python -m tests.soak`: does the service grow? Runs `plateid run` hard, and faults with it.

The demo's clip at twice its pace on several cameras, and an RTSP camera; each minute the broker
and the RTSP server are killed and come back, and the configuration is reloaded. A line a minute has
the most that the process held within it; at the end comes one line of JSON. Exit 1 when memory has
grown by more than 5 % since the third minute, or threads or open files at all.
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

PACE = 2
WARM_UP = 2
"""Minutes that are not judged: networks, decoders and memory pools take their shares."""
MAX_GROWTH = 0.05
SAMPLE_S = 0.5
MINUTE_S = 60


def faster(clip: Path, out: Path) -> Path:
    """The same pictures at `PACE` times the speed."""
    with av.open(str(clip)) as source, av.open(str(out), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.time_base /= PACE
                packet.stream = copy
                target.mux(packet)
    return out


def usage(pid: int) -> dict[str, float]:
    """What a process holds now."""
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
    folder: Path, broker: Broker, rtsp: RtspServer, clips: int
) -> Iterator[subprocess.Popen[bytes]]:
    clip = faster(DEMO_VIDEO, folder / "clip.mp4")
    cameras = {f"clip-{n}": f'url = "{clip}"\nloop = true' for n in range(clips)}
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


def soak(minutes: int, clips: int, folder: Path) -> list[dict[str, float]]:
    rows = []
    rtsp = RtspServer()
    with closing(Broker(folder)) as broker, service(folder, broker, rtsp, clips) as process:
        faults = {
            10: broker.kill,
            20: broker.start,
            30: rtsp.kill,
            40: rtsp.start,
            50: lambda: process.send_signal(signal.SIGHUP),
        }
        broker.start()
        rtsp.start()
        began = time.monotonic()
        for minute in range(1, minutes + 1):
            most = run_minute(process.pid, faults)
            with closing(EventStore(folder / "events.sqlite3")) as store:
                counts = store.counts()
            rows.append({"minute": minute} | most | {"events": counts.events})
            sys.stdout.write(line(rows[-1]) + f"  to send {counts.outbox}\n")
            sys.stdout.flush()
        rows[-1]["seconds"] = time.monotonic() - began
        rtsp.kill()
    return rows


def run_minute(pid: int, faults) -> dict[str, float]:
    began, due = time.monotonic(), dict(faults)
    most: dict[str, float] = {}
    while (now_s := time.monotonic() - began) < MINUTE_S:
        for second in [second for second in due if second <= now_s]:
            due.pop(second)()
        held = usage(pid)
        most = {key: max(value, most.get(key, 0)) for key, value in held.items()}
        time.sleep(SAMPLE_S)
    return {key: round(value, 1) for key, value in most.items()}


def line(row: dict[str, float]) -> str:
    return "  ".join(f"{key} {value:g}" for key, value in row.items())


def growth(rows: list[dict[str, float]]) -> dict[str, float]:
    """Of the last minute over the first that is judged, as a fraction or a number."""
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
    parser.add_argument("--clips", type=int, default=3, help="cameras beside the RTSP camera")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="plateid-soak-") as folder:
        rows = soak(asked.minutes, asked.clips, Path(folder))
    grown = growth(rows)
    sys.stdout.write(json.dumps({"minutes": rows, "growth": grown}) + "\n")
    memory_is_flat = max(grown["rss"], grown["anonymous"]) <= MAX_GROWTH
    sys.exit(not memory_is_flat or grown["threads"] > 0 or grown["files"] > 0)


if __name__ == "__main__":
    main()
