"""Sets the system clock again and again: `python -m tests.clock_jumps --jumps 100 --seed 1`.

It runs `plateid run` with two live cameras: one shows a standing vehicle, and one plays the demo
video again and again. The clock jumps every few seconds. The script prints one line of JSON, and
exits with 1 if a `plate_seen` is published twice or is missing.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

from plateid.demo import DEMO_VIDEO
from tests.support.broker import Broker, Subscriber, free_ports, until
from tests.support.faked_clock import JUMPS, FakedClock

ROUND_S = 24.0
"""Length of the demo video, seconds: each of its vehicles passes once a round."""
STILL_S = 3.0
"""Position of a frame of the demo video with a vehicle, seconds."""
PAUSE_S = 3.0
"""Mean time between two jumps, seconds."""


@contextmanager
def stream(port: int, *options: str) -> Iterator[str]:
    """Serves the demo video as a live stream with options of ffmpeg; gives the URL."""
    url = f"http://127.0.0.1:{port}/live"
    play = ["-re", *options, "-bf", "0", "-g", "10", "-c:v", "libx264", "-preset", "ultrafast"]
    command = ["ffmpeg", "-v", "quiet", *play, "-f", "mpegts", "-listen", "1", url]
    with subprocess.Popen(command) as process:
        try:
            yield url
        finally:
            process.kill()


@contextmanager
def service(folder: Path, clock: FakedClock, port: int, **urls: str) -> Iterator[None]:
    """Runs plateid with cameras of these names."""
    cameras = "".join(f'[[camera]]\nname = "{n}"\nurl = "{url}"\n' for n, url in urls.items())
    config, environment = folder / "plateid.toml", os.environ | clock.environment
    config.write_text(f'{cameras}[mqtt]\nport = {port}\n[store]\npath = "events.sqlite3"\n')
    command = [sys.executable, "-m", "plateid", "run", "-c", str(config)]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stderr=log, env=environment) as process,
    ):
        try:
            until(lambda: (folder / "log").read_bytes().count(b"camera online") == len(urls), 60)
            yield
            process.send_signal(signal.SIGTERM)
            if process.wait(30) != 0:
                sys.exit((folder / "log").read_text())
        finally:
            process.kill()


def judged(times: dict[str, list[float]], until_s: float) -> dict[str, int]:
    """Returns the number of passes that were published, published twice, and lost."""
    steps = [after - before for each in times.values() for before, after in pairwise(each)]
    steps += [until_s - each[-1] - ROUND_S / 2 for each in times.values()]
    return {
        "published": sum(map(len, times.values())),
        "duplicated": sum(step < ROUND_S / 2 for step in steps[: -len(times)]),
        "lost": sum(max(0, round(step / ROUND_S) - 1) for step in steps),
    }


def seen(subscriber: Subscriber, camera: str) -> dict[str, list[float]]:
    """Returns the times at which each plate was published."""
    times: dict[str, list[float]] = defaultdict(list)
    for message in subscriber.of(f"/{camera}/event"):
        event = json.loads(message.payload)
        if event["event_type"] == "plate_seen":
            times[event["plate"]].append(message.timestamp)
    return times


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jumps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--offsets", nargs="+", default=JUMPS, help="from the true time")
    options = parser.parse_args(arguments)
    chance, video, ports = random.Random(options.seed), str(DEMO_VIDEO), free_ports(2)
    still = ("-ss", str(STILL_S), "-i", video, "-vf", "trim=end_frame=1,loop=-1:1,fps=10")
    with (
        tempfile.TemporaryDirectory() as name,
        closing(Broker(folder := Path(name))) as broker,
        stream(ports[0], "-stream_loop", "-1", "-i", video, "-r", "15") as street,
        stream(ports[1], *still) as gate,
    ):
        broker.start()
        clock = FakedClock(folder)
        with (
            closing(Subscriber(broker.port)) as subscriber,
            service(folder, clock, broker.port, street=street, gate=gate),
        ):
            time.sleep(ROUND_S)
            for _ in range(options.jumps):
                clock.jump(chance.choice(options.offsets))
                time.sleep(chance.uniform(0.2, 2) * PAUSE_S)
            street_seen, gate_seen = seen(subscriber, "street"), seen(subscriber, "gate")
            result = judged(street_seen, time.monotonic())
    standing = sum(map(len, gate_seen.values()))
    sys.stdout.write(json.dumps({"jumps": options.jumps, "standing": standing} | result) + "\n")
    sys.exit(result["duplicated"] + result["lost"] > 0 or standing != 1)


if __name__ == "__main__":
    main()
