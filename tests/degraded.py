"""Measures latency and missed vehicles on a slow disk and a lossy network.

`python -m tests.degraded --minutes 2` runs `plateid run` with four RTSP cameras four times: as it
is, with a disk whose flushes take 200 ms, with a network that loses 5 % of the packets of the
cameras, and with both. It prints a line each. The latency counts from the moment at which the whole
vehicle is in the image. It needs root, because the network is one of its own.
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
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from tests.campaign.cameras import RtspCamera, Street
from tests.campaign.plates import SYMBOLS, write_networks
from tests.campaign.schedule import CROSSING_S, Vehicle
from tests.support.broker import Broker, Subscriber, until

CAMERAS = 4
GAP_S, STANDS_S = 2.5, 10.0
"""Time between two vehicles of a camera, and for which every third one stops, seconds."""
START_S, END_S = 15.0, 15.0
"""Time for the start of the service, and for the last events, seconds."""
LOSS_PERCENT = 5
SHIM = Path(__file__).parent / "support/slow_sync.c"
INSIDE = "--inside"


def traffic(duration_s: float, seed: int = 1) -> list[Vehicle]:
    """Returns the vehicles of all cameras; each has a plate of its own."""
    chance, vehicles = random.Random(seed), []
    for camera in range(CAMERAS):
        at = START_S + camera
        while at + CROSSING_S + STANDS_S < START_S + duration_s:
            plate, stands_s = "".join(chance.sample(SYMBOLS, 6)), chance.choice((0, 0, STANDS_S))
            vehicles.append(Vehicle(f"c{camera}", plate, at, stands_s))
            at = vehicles[-1].leaves + GAP_S
    return vehicles


@dataclass(frozen=True)
class Verdict:
    """Numbers of vehicles, of missed and of repeated ones; and the latencies in seconds."""

    vehicles: int
    missed: int
    twice: int
    late_s: tuple[float, ...]

    def __str__(self) -> str:
        p50, p95, most = np.percentile(self.late_s or (np.nan,), (50, 95, 100))
        counts = f"{self.vehicles} vehicles  {self.missed} missed  {self.twice} twice"
        return f"{counts}  latency p50 {p50:.2f} s  p95 {p95:.2f} s  max {most:.2f} s"


class Scene:
    """Cameras that show vehicles, a broker, and what it receives; `stack` ends them."""

    def __init__(self, vehicles: list[Vehicle], stack: ExitStack) -> None:
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self._vehicles = vehicles
        self._broker = stack.enter_context(closing(Broker(self.folder)))
        self._broker.start()
        self._subscriber = stack.enter_context(closing(Subscriber(self._broker.port)))
        self._began = time.monotonic()
        self.cameras: dict[str, RtspCamera] = {}
        for name in sorted({vehicle.camera for vehicle in vehicles}):
            own = [vehicle for vehicle in vehicles if vehicle.camera == name]
            self.cameras[name] = camera = RtspCamera(Street(own, self._began).frame)
            camera.start()
            stack.callback(camera.kill)

    @property
    def now(self) -> float:
        """The time of the vehicles, seconds."""
        return time.monotonic() - self._began

    @contextmanager
    def service(self, environment: dict[str, str]) -> Iterator[None]:
        """Runs plateid; a failure ends this program."""
        log, config = self.folder / "log", self.folder / "plateid.toml"
        cameras = "".join(
            f'[[camera]]\nname = "{name}"\nurl = "{camera.url}"\n'
            for name, camera in self.cameras.items()
        )
        config.write_text(
            f'{cameras}[models]\nbundle = "{write_networks(self.folder / "bundle")}"\n'
            f'[mqtt]\nport = {self._broker.port}\n[store]\npath = "events.sqlite3"\n'
        )
        command = [sys.executable, "-m", "plateid", "run", "-c", str(config)]
        with (
            log.open("wb") as errors,
            subprocess.Popen(command, stderr=errors, env=os.environ | environment) as process,
        ):
            try:
                until(lambda: log.read_bytes().count(b"camera online") == len(self.cameras), 60)
                yield
                process.send_signal(signal.SIGTERM)
                if process.wait(60) != 0:
                    sys.exit(log.read_text())
            finally:
                process.kill()

    def wait_for_the_last(self) -> None:
        """Waits until the last vehicle has left and its events have arrived."""
        time.sleep(max(0.0, max(each.leaves for each in self._vehicles) + END_S - self.now))

    def verdict(self) -> Verdict:
        """Returns what the broker received of the vehicles."""
        seen = list[tuple[str, float]]()
        for message in self._subscriber.of("/event"):
            event = json.loads(message.payload)
            if event["event_type"] == "plate_seen":
                seen.append((event["plate"], message.timestamp - self._began))
        counts, first = Counter(plate for plate, _ in seen), dict(reversed(seen))
        for plate, at in seen:
            if counts[plate] > 1:
                sys.stderr.write(f"{at:.1f} s: {plate} published again\n")
        found = [vehicle for vehicle in self._vehicles if vehicle.plate in first]
        return Verdict(
            len(self._vehicles),
            len(self._vehicles) - len(found),
            sum(count - 1 for count in counts.values()),
            tuple(first[vehicle.plate] - vehicle.whole[0] for vehicle in found),
        )


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
    table = f"table inet loss {{\nchain input {{\n{hook};\n{rules}\n}}\n}}\n"
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


def measured(minutes: float, *, slow: bool, lossy: bool) -> Verdict:
    with ExitStack() as stack:
        scene = Scene(traffic(60 * minutes), stack)
        if lossy:
            stack.enter_context(loss([camera.port for camera in scene.cameras.values()]))
        with scene.service(slow_disk(scene.folder) if slow else {}):
            scene.wait_for_the_last()
        return scene.verdict()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument(INSIDE, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    use_own_network()
    for slow, lossy in product((False, True), repeat=2):
        name = " ".join(word for word, on in (("disk", slow), ("loss", lossy)) if on)
        verdict = measured(options.minutes, slow=slow, lossy=lossy)
        sys.stdout.write(f"{name or 'as it is':10}  {verdict}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
