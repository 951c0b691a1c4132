"""Workers on a Ray cluster, which replaces lost ones; their processes keep the networks."""

import os
import socket
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from plateid.archive.workers import MAX_ATTEMPTS, Begin, Task, done
from plateid.errors import ArchiveError, WorkerError, errors_as

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
import ray
from ray.exceptions import RayError

CONNECT_S = 10.0
"""Time-out of the first connection to a cluster, seconds."""
QUEUED = 2
"""Number of tasks for each core of the cluster at a time: those that wait make it start nodes."""


class RayPool(AbstractContextManager["RayPool"]):
    """Tasks of one core each on an existing cluster."""

    def __init__(self, job: object, address: str, count: int | None) -> None:
        """Connects to the cluster; raises ArchiveError if that fails.

        `count` is the maximum number of tasks at a time, by default all that the cluster can run.
        """
        with errors_as(ArchiveError, address, OSError, RuntimeError, ValueError, RayError):
            host, _, port = address.removeprefix("ray://").rpartition(":")
            socket.create_connection((host, int(port)), CONNECT_S).close()  # Ray tries for minutes
            ray.init(address, log_to_driver=False, configure_logging=False)
        self._job, self._count = job, count
        self._done = ray.remote(num_cpus=1, max_retries=MAX_ATTEMPTS - 1)(_done_in)

    def __exit__(self, *_: object) -> None:
        """Leaves the cluster, which ends the tasks: what is not returned is read again."""
        ray.shutdown()

    def run(self, tasks: Iterable[Task], begin: Begin) -> Iterator[tuple[Task, Any]]:
        """Yields results as they end; see `Workers`."""
        waiting, running = deque(tasks), dict[Any, Task]()
        while waiting or running:
            count = self._count or QUEUED * int(ray.cluster_resources().get("CPU", 0)) or 1
            while waiting and len(running) < count:
                begin(task := waiting.popleft())
                running[self._done.remote(Path.cwd(), self._job, *task)] = task
            (ended,), _ = ray.wait([*running])
            try:
                result = ray.get(ended)
            except RayError as error:  # of the last attempt
                result = WorkerError("worker", str(error).partition("\n")[0])
            yield running.pop(ended), result


def _done_in(folder: Path, job: object, name: str, argument: object) -> object:
    """Does a task in the folder of the command, whose paths may be relative."""
    with suppress(OSError):  # this machine needs no such folder for absolute paths and URLs
        os.chdir(folder)
    return done(job, name, argument)
