"""Runs a fault campaign: `python -m tests.campaign --minutes 60`.

Random faults of all kinds hit `plateid run`, its broker, its cameras and its disk. An oracle knows
every vehicle. It prints the events expected, published, duplicated and lost, and exits with 1 if
one is lost or duplicated. The seed fixes the vehicles and the faults.
"""

import argparse
import collections
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from tests.campaign.broker import CampaignBroker
from tests.campaign.cameras import FrameServer, RtspCamera, Street
from tests.campaign.disk import Disk
from tests.campaign.faults import Faults
from tests.campaign.oracle import ended, judge
from tests.campaign.plates import write_networks
from tests.campaign.record import Record
from tests.campaign.schedule import DISK, FAULTS, Fault, draw_faults, draw_vehicles
from tests.campaign.service import Service
from tests.support.faked_clock import FakedClock

REPORT_S = 30.0
"""Time between two lines of progress, seconds."""
DRAIN_S = 90.0
"""Time in which the last events are sent, seconds: longer than the longest wait for the broker."""
PRIORITY = -10
"""Change of the priority, for root: both of the process and of its session (see sched(7))."""
PENDING = "SELECT count(*) FROM delivery"
CONFIG = """
device = "campaign"
models.bundle = "{bundle}"
store.path = "{store}"
homeassistant.enabled = false
web.enabled = false
snapshots.enabled = false
camera = [{cameras}]

[mqtt]
port = {port}
username = "plateid"
password_file = "{password}"
"""


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def run(seed: int, minutes: float, kinds: list[str], folder: Path) -> bool:
    """Runs a campaign; returns whether the oracle found nothing."""
    with ExitStack() as stack:
        disk = make_disk(folder / "disk", kinds, stack)
        kinds = [kind for kind in kinds if disk or kind not in DISK]
        vehicles = draw_vehicles(seed, 60 * minutes)
        schedule = draw_faults(seed, 60 * minutes, kinds)
        say(f"seed {seed}  {minutes:g} minutes  {len(schedule)} faults: {', '.join(kinds)}")
        record = Record()
        store = (disk.folder if disk else folder) / "plateid.sqlite3"
        broker = stack.enter_context(closing(CampaignBroker(folder, record.take)))
        streets = {name: Street(some, record.began).frame for name, some in vehicles.items()}
        cameras = {"http": FrameServer(streets["http"]), "rtsp": RtspCamera(streets["rtsp"])}
        for camera in cameras.values():
            camera.start()
            stack.callback(camera.kill)
        config = write_config(folder, store, broker.port, {n: c.url for n, c in cameras.items()})
        clock = FakedClock(folder)
        service = Service(config, record, lambda: record.take_store(store), clock.environment)
        faults = Faults(record, service, broker, cameras, store, disk, clock)
        with service_runs(service), watched(record, service):
            play(faults, schedule, minutes)
            drain(service, store)
        verdict = judge(record, vehicles)
        record.problems += ended(record)
    for name, found in (("lost", verdict.lost), ("duplicated", verdict.duplicated)):
        for each in found:
            say(f"{name}: {each}")
    for problem in record.problems:
        say(f"problem: {problem}")
    failed = bool(verdict.lost or verdict.duplicated or record.problems)
    for window in record.windows if failed else ():
        say(f"{window.begin:.1f}-{window.end:.1f} s: {window.kind} {window.camera}")
    done = collections.Counter(fault.kind for fault in schedule)
    say("faults: " + "  ".join(f"{kind} {count}" for kind, count in sorted(done.items())))
    busy_s = sum(w.end - w.begin for w in record.windows if w.kind == "machine")
    say(f"seed {seed}  runs {service.runs}  machine too busy {busy_s:.0f} s  {verdict}")
    return not failed


def make_disk(folder: Path, kinds: list[str], stack: ExitStack) -> Disk | None:
    """Returns a disk of its own for the store, if a fault needs one and this machine can mount."""
    if not set(kinds) & set(DISK):
        return None
    try:
        return stack.enter_context(closing(Disk(folder)))
    except (OSError, subprocess.CalledProcessError) as error:
        say(f"left out, because mounting is not possible here: {', '.join(DISK)} ({error})")
        return None


def write_config(folder: Path, store: Path, port: int, urls: dict[str, str]) -> Path:
    password = folder / "password"
    password.write_text("right\n")
    cameras = ", ".join(f'{{name = "{name}", url = "{url}"}}' for name, url in urls.items())
    bundle = write_networks(folder / "bundle")
    config = folder / "plateid.toml"
    config.write_text(
        CONFIG.format(bundle=bundle, store=store, cameras=cameras, port=port, password=password)
    )
    return config


@contextmanager
def service_runs(service: Service) -> Iterator[None]:
    """Runs the service, and stops it at the end."""
    thread = threading.Thread(target=service.keep)
    thread.start()
    try:
        yield
    finally:
        service.close()
        thread.join()


@contextmanager
def watched(record: Record, service: Service) -> Iterator[None]:
    """Notes when the machine is too busy."""
    stopped = threading.Event()
    arguments = (lambda: service.pid, stopped)
    thread = threading.Thread(target=record.watch_machine, args=arguments)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def play(faults: Faults, schedule: list[Fault], minutes: float) -> None:
    """Runs the faults at their times, those of each target after one another."""
    record = faults.record

    def play_target(target: str) -> None:
        for fault in (each for each in schedule if each.target == target):
            time.sleep(max(0.0, fault.begins - record.now))
            faults.do(fault)

    targets = {fault.target for fault in schedule}
    with ThreadPoolExecutor(max(1, len(targets))) as pool:
        played = [pool.submit(play_target, target) for target in targets]
        while record.now < 60 * minutes:
            time.sleep(min(REPORT_S, max(0.0, 60 * minutes - record.now)))
            ids = {each.event["id"] for each in record.received}
            active = ", ".join(record.active) or "none"
            say(
                f"{record.now:5.0f} s  runs {faults.service.runs + 1}  published {len(ids)}  "
                f"faults now: {active}"
            )
        for each in played:
            each.result()


def drain(service: Service, store: Path) -> None:
    """Starts the service once more, and waits until it has sent everything."""
    with service.held(signal.SIGTERM):
        pass
    until = time.monotonic() + DRAIN_S
    while time.monotonic() < until and pending(store):
        time.sleep(1)


def pending(store: Path) -> int:
    """Returns the number of events that wait; 1 while the store is not readable."""
    try:
        with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
            return int(db.execute(PENDING).fetchone()[0])
    except sqlite3.Error:
        return 1


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.campaign", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, help="repeats the vehicles and faults of a campaign")
    parser.add_argument(
        "--faults", default=",".join(FAULTS), help="comma-separated; default: %(default)s"
    )
    parser.add_argument("--keep", type=Path, help="an empty folder for logs and store")
    options = parser.parse_args()
    kinds = options.faults.split(",")
    if unknown := set(kinds) - FAULTS.keys():
        parser.error(f"unknown faults: {', '.join(sorted(unknown))}")
    seed = random.randrange(10**6) if options.seed is None else options.seed
    with suppress(OSError):  # other programs shall not disturb the vehicles
        os.nice(PRIORITY)
        Path("/proc/self/autogroup").write_text(str(PRIORITY))
    with ExitStack() as stack:
        folder = options.keep or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="plateid-campaign-"))
        )
        folder.mkdir(parents=True, exist_ok=True)
        sys.exit(0 if run(seed, options.minutes, kinds, folder) else 1)


if __name__ == "__main__":
    main()
