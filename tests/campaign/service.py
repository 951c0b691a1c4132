"""`plateid run` as a process that is started again whenever it ends, as systemd does."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.campaign.record import End, Line, Record

RESTART_S = 0.5
"""Time until an ended service is started again, seconds."""
STOP_S = 15.0
"""Time in which the service stops, seconds; systemd kills it after that."""
LINE = re.compile(
    r"event=(?P<event>plate_seen|plate_left|\"camera (?:online|offline|stalled)\")"
    r".* camera=(?P<camera>\w+)(?:.* plate=(?P<plate>\w+))?"
)


class Service:
    """The service. `held` stops it; the oracle reads the store before each new start."""

    def __init__(
        self,
        config: Path,
        record: Record,
        on_down: Callable[[], None],
        environment: Mapping[str, str],
    ) -> None:
        self._command = [sys.executable, "-m", "plateid", "run", "-c", str(config)]
        self._log = config.with_name("plateid.log")
        self._record = record
        self._on_down = on_down
        self._process: subprocess.Popen[str] | None = None
        self._asked = False
        self._closed = False
        self._is_down = threading.Event()
        self._may_run = threading.Event()
        self._may_run.set()
        self._environment = os.environ | environment
        self._starting = threading.Lock()
        self.lock = threading.RLock()
        self.runs = 0

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def keep(self) -> None:
        """Runs the service until it is closed."""
        try:
            while self._start():
                self._follow()
                self._on_down()
                self._is_down.set()
                time.sleep(RESTART_S)
        finally:
            self._is_down.set()

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if self._process is not None:
                self._process.send_signal(number)

    @contextmanager
    def held(self, number: signal.Signals) -> Iterator[None]:
        """Stops the service by a signal, and starts it again afterwards."""
        with self.lock:
            with self._starting:
                self._may_run.clear()
            self._asked = True
            self.send(number)
            if not self._is_down.wait(STOP_S):
                self._record.problems.append(f"{self._record.now:.1f} s: does not stop")
                self.send(signal.SIGKILL)
                self._is_down.wait()
            try:
                yield
            finally:
                self._asked = False
                self._may_run.set()

    def close(self) -> None:
        """Stops the service for good."""
        with self.held(signal.SIGTERM):
            self._closed = True

    def _start(self) -> bool:
        """Starts the service as soon as it may run; returns False if it is closed."""
        while not self._closed:
            self._may_run.wait()
            with self._starting:
                if self._may_run.is_set() and not self._closed:
                    self._is_down.clear()
                    self._process = subprocess.Popen(
                        self._command, stderr=subprocess.PIPE, text=True, env=self._environment
                    )
                    return True
        return False

    def _follow(self) -> None:
        """Reads the log until the service has ended."""
        assert self._process is not None
        assert self._process.stderr is not None
        with self._log.open("a") as log, self._process.stderr as lines:
            for line in lines:
                log.write(f"{self._record.now:.2f} {line}")
                log.flush()
                self._note(line)
            code = self._process.wait()
            log.write(f"{self._record.now:.2f} ended with {code}\n")
        for name in ("faketime_shm_", "sem.faketime_sem_"):  # a killed process leaves them
            Path(f"/dev/shm/{name}{self.pid}").unlink(missing_ok=True)  # noqa: S108 - libfaketime's
        self._record.ends.append(End(self._record.now, self.runs, code, self._asked))
        self.runs += 1

    def _note(self, line: str) -> None:
        if found := LINE.search(line):
            event, camera, plate = (found[name] or "" for name in ("event", "camera", "plate"))
            now = self._record.now
            self._record.lines.append(Line(now, self.runs, event.strip('"'), camera, plate))
