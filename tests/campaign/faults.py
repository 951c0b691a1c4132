"""What each fault does."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.campaign.broker import CampaignBroker
from tests.campaign.cameras import Camera, Garbage
from tests.campaign.disk import Disk
from tests.campaign.record import Record
from tests.campaign.schedule import Fault
from tests.campaign.service import Service
from tests.support.faked_clock import JUMPS, FakedClock

PAGE = 4096
HOGS = 4
"""Number of processes that compete with the service for one core."""
SILENT_S = 8.0
"""Longest time that a broker does not answer before it is killed, seconds."""
SPARE = 64 << 20
"""Most address space that the service may still take under the memory limit, bytes."""


@dataclass(frozen=True)
class Faults:
    """The parts of a campaign that faults hit; `do` runs one fault from its begin to its end."""

    record: Record
    service: Service
    broker: CampaignBroker
    cameras: dict[str, Camera]
    store: Path
    disk: Disk | None
    clock: FakedClock

    def do(self, fault: Fault) -> None:
        actions: dict[str, Callable[[Fault], None]] = {
            "kill": self._end_service,
            "term": self._end_service,
            "stop": self._stop_service,
            "cpu": self._limit_cpu,
            "memory": self._limit_memory,
            "damage": self._damage_store,
            "clock": self._set_clock,
            "broker": self._break_broker,
            "camera": self._break_camera,
            "disk": self._break_disk,
        }
        actions[fault.kind.partition("-")[0]](fault)

    def _end_service(self, fault: Fault) -> None:
        number = signal.SIGKILL if fault.kind == "kill" else signal.SIGTERM
        with self.service.held(number):
            time.sleep(fault.lasts_s)

    def _stop_service(self, fault: Fault) -> None:
        with self.service.lock, self.record.window("stop"):
            self.service.send(signal.SIGSTOP)
            time.sleep(fault.lasts_s)
            self.service.send(signal.SIGCONT)

    def _limit_cpu(self, fault: Fault) -> None:
        """Leaves the service a share of one core."""
        with self.record.window("cpu"), hogs(), suppress(ProcessLookupError):
            set_cores(self.service.pid, {0})
            time.sleep(fault.lasts_s)
            set_cores(self.service.pid, set(range(os.cpu_count() or 1)))

    def _limit_memory(self, fault: Fault) -> None:
        """Refuses the service more address space; it may end, and is started again without."""
        with self.record.window("memory"), suppress(OSError):
            pid = self.service.pid
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
            limit = pages * PAGE + int(fault.choice * SPARE)
            resource.prlimit(pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
            time.sleep(fault.lasts_s)
            resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)

    def _damage_store(self, fault: Fault) -> None:
        """Overwrites a page of the stopped store; what waited in this page may be lost."""
        with self.service.held(signal.SIGTERM), self.record.window("damage"):
            if not self.store.exists() or self._disk_fails():
                return
            pending = self.record.take_store(self.store)
            if pending is None:
                return
            self.record.is_damaged = True
            content = bytearray(self.store.read_bytes())
            start = int(fault.choice * (len(content) // PAGE)) * PAGE
            page = bytes(content[start : start + PAGE])
            for identity, event in pending.items():
                if identity.encode() in page or b"mqtt" in page:  # the event, or its delivery
                    self.record.excused[identity] = event
            content[start : start + PAGE] = random.Random(fault.choice).randbytes(PAGE)
            self.store.write_bytes(content)

    def _set_clock(self, fault: Fault) -> None:
        """Sets the clock for good. It disturbs no vehicle."""
        self.clock.jump(JUMPS[int(fault.choice * len(JUMPS))])

    def _disk_fails(self) -> bool:
        return any(kind.startswith("disk") for kind in self.record.active)

    def _break_broker(self, fault: Fault) -> None:
        with self.record.window("broker"):
            if fault.kind == "broker-stop":
                self.broker.signal(signal.SIGSTOP)
                time.sleep(fault.lasts_s)
                self.broker.signal(signal.SIGCONT)
                return
            killed = fault.kind == "broker-kill"
            if killed:  # the events that come now are lost on the way
                self.broker.signal(signal.SIGSTOP)
                time.sleep(fault.choice * SILENT_S)
            self.broker.end(signal.SIGKILL if killed else signal.SIGTERM)
            time.sleep(fault.lasts_s)
            self.broker.start()

    def _break_camera(self, fault: Fault) -> None:
        name = fault.target.split()[1]
        camera = self.cameras[name]
        with self.record.window(fault.kind, name):
            if fault.kind == "camera-freeze":
                camera.freeze()
                time.sleep(fault.lasts_s)
                camera.thaw()
                return
            camera.kill()
            with ExitStack() as stack:
                if fault.kind == "camera-garbage":
                    noise = random.Random(fault.choice).randbytes
                    stack.enter_context(Garbage(camera.port, noise))
                time.sleep(fault.lasts_s)
            camera.start()

    def _break_disk(self, fault: Fault) -> None:
        assert self.disk is not None
        with self.record.window("disk"):
            if fault.kind == "disk-full":
                self.disk.fill()
                time.sleep(fault.lasts_s)
                self.disk.free()
                return
            self.disk.make_read_only()
            time.sleep(fault.lasts_s)
            with self.service.held(signal.SIGTERM):
                self.disk.repair()


@contextmanager
def hogs():
    """Runs processes that use one core as much as they can."""
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(HOGS)]
    try:
        for process in processes:
            os.sched_setaffinity(process.pid, {0})
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def set_cores(pid: int, cores: set[int]) -> None:
    """Lets all threads of a process run on these cores only."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), cores)
