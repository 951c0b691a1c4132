"""Measures latency and missed vehicles on a slow disk and a lossy network.

`python -m tests.degraded --minutes 2` runs `plateid run` with four RTSP cameras four times: as it
is, with a disk whose flushes take 200 ms, with a network that loses 5 % of the packets of the
cameras, and with both. It prints a line each. The latency counts from the moment at which the whole
vehicle is in the image. It needs root, because the network is one of its own.
"""

import argparse
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import numpy as np

from tests.campaign.cameras import RtspCamera, Street
from tests.campaign.plates import SYMBOLS, write_networks
from tests.campaign.schedule import CROSSING_S, Vehicle
from tests.support.broker import Broker, Subscriber, until

CAMERAS = 4
GAP_S = 2.5
"""Time between two vehicles of a camera, seconds."""
START_S, END_S = 15.0, 15.0
"""Time for the start of the service, and for the last events, seconds."""
LOSS_PERCENT = 5
SHIM = Path(__file__).parent / "support/slow_sync.c"
INSIDE = "--inside"


def traffic(minutes: float) -> list[Vehicle]:
    """Returns the vehicles of all cameras; each has a plate of its own."""
    chance, vehicles = random.Random(1), []
    for camera in range(CAMERAS):
        at = START_S + camera
        while at + CROSSING_S < START_S + 60 * minutes:
            plate = "".join(chance.sample(SYMBOLS, 6))
            vehicles.append(Vehicle(f"c{camera}", plate, at, 0.0))
            at += CROSSING_S + GAP_S
    return vehicles


def use_own_network() -> None:
    """Continues in a network of its own, whose packets are as small as on Ethernet."""
    if INSIDE not in sys.argv:
        command = ["unshare", "--net", sys.executable, "-m", "tests.degraded", INSIDE]
        os.execvp("unshare", [*command, *sys.argv[1:]])  # noqa: S606 - no shell is needed
    subprocess.run(["ip", "link", "set", "lo", "up", "mtu", "1500"], check=True)


@contextmanager
def loss(ports: list[int]) -> Iterator[None]:
    """Loses packets from and to these TCP ports."""
    some = f"{{ {', '.join(map(str, ports))} }}"
    rules = "\n".join(
        f"tcp {way} {some} numgen random mod 100 < {LOSS_PERCENT} counter drop"
        for way in ("sport", "dport")
    )
    hook = "type filter hook input priority filter"
    table = f"table inet loss {{ chain input {{ {hook};\n{rules}\n}}\n}}\n"
    subprocess.run(["nft", "-f", "-"], input=table, text=True, check=True)
    try:
        yield
    finally:
        subprocess.run(["nft", "delete", "table", "inet", "loss"], check=True)


def slow_disk(folder: Path) -> dict[str, str]:
    """Builds the library that delays flushes; returns the environment that uses it."""
    library = folder / "slow_sync.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, SHIM], check=True)
    return {"LD_PRELOAD": str(library)}


@contextmanager
def service(folder: Path, port: int, urls: dict[str, str], environment: dict[str, str]) -> Iterator:
    cameras = "".join(f'[[camera]]\nname = "{n}"\nurl = "{url}"\n' for n, url in urls.items())
    config = folder / "plateid.toml"
    config.write_text(
        f'{cameras}[models]\nbundle = "{write_networks(folder / "bundle")}"\n'
        f'[mqtt]\nport = {port}\n[store]\npath = "events.sqlite3"\n'
    )
    command = [sys.executable, "-m", "plateid", "run", "-c", str(config)]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stderr=log, env=os.environ | environment) as process,
    ):
        try:
            until(lambda: (folder / "log").read_bytes().count(b"camera online") == len(urls), 60)
            yield
            process.send_signal(signal.SIGTERM)
            if process.wait(30) != 0:
                sys.exit((folder / "log").read_text())
        finally:
            process.kill()


def measure(name: str, minutes: float) -> None:
    """Prints the figures of one run; `name` says what is slow or lossy."""
    vehicles = traffic(minutes)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(closing(Broker(folder)))
        broker.start()
        began, cameras = time.monotonic(), {}
        for camera in sorted({vehicle.camera for vehicle in vehicles}):
            street = Street([each for each in vehicles if each.camera == camera], began)
            cameras[camera] = RtspCamera(street.frame)
            cameras[camera].start()
            stack.callback(cameras[camera].kill)
        if "loss" in name:
            stack.enter_context(loss([camera.port for camera in cameras.values()]))
        environment = slow_disk(folder) if "disk" in name else {}
        subscriber = stack.enter_context(closing(Subscriber(broker.port)))
        urls = {camera: each.url for camera, each in cameras.items()}
        with service(folder, broker.port, urls, environment):
            time.sleep(max(0.0, began + START_S + 60 * minutes + END_S - time.monotonic()))
        messages = [(m.timestamp - began, json.loads(m.payload)) for m in subscriber.of("/event")]
    seen = [(e["plate"], at) for at, e in messages if e["event_type"] == "plate_seen"]
    counts, first = Counter(plate for plate, _ in seen), dict(reversed(seen))
    late = [first[each.plate] - each.whole[0] for each in vehicles if each.plate in first]
    p50, p95 = np.percentile(late, (50, 95)) if late else (np.nan, np.nan)
    twice = sum(count - 1 for count in counts.values())
    missed = sum(each.plate not in first for each in vehicles)
    sys.stdout.write(
        f"{name:10} {len(vehicles):3} vehicles  {missed} missed  {twice} twice"
        f"  latency p50 {p50:.2f} s  p95 {p95:.2f} s  max {max(late, default=np.nan):.2f} s\n"
    )
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument(INSIDE, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    use_own_network()
    for slow, lossy in itertools.product((False, True), repeat=2):
        name = " ".join(word for word, on in (("disk", slow), ("loss", lossy)) if on)
        measure(name or "as it is", options.minutes)


if __name__ == "__main__":
    main()
