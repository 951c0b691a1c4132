"""A pool of processes that outlives killed workers: a killed one is replaced, its task retried."""

import multiprocessing
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple, Protocol

from plateid.errors import PlateidError, WorkerError

MAX_ATTEMPTS = 3
"""Number of workers that may die of one task: it may use up the memory, or crash a decoder."""
Task = tuple[str, Any]
"""Name of a method of the job, and its argument."""
Begin = Callable[[Task], None]


class Workers(Protocol):
    """What runs tasks: processes of this machine, or a Ray cluster."""

    def run(self, tasks: Iterable[Task], begin: Begin) -> Iterator[tuple[Task, Any]]:
        """Yields each task with its result, or the PlateidError that it raised, as they end."""


class _Worker(NamedTuple):
    process: BaseProcess
    pipe: "Connection[Any, Any]"

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


class ProcessPool(AbstractContextManager["ProcessPool"]):
    """Workers as processes, no daemons, so that a task may start more; each keeps its networks."""

    def __init__(self, job: object, count: int) -> None:
        self._job = job
        self._context = multiprocessing.get_context("spawn")  # FFmpeg and ONNX Runtime have threads
        self._free = [self._start() for _ in range(count)]
        self._busy: dict[Any, tuple[_Worker, Task]] = {}

    def __exit__(self, *_: object) -> None:
        """Kills the workers: what they have not returned is read again."""
        for worker in (*self._free, *(worker for worker, _ in self._busy.values())):
            worker.kill()

    def run(self, tasks: Iterable[Task], begin: Begin) -> Iterator[tuple[Task, Any]]:
        """Yields results as they end; see `Workers`."""
        waiting, deaths = deque(tasks), Counter[int]()
        while waiting or self._busy:
            while waiting and self._free:
                begin(task := waiting.popleft())
                worker = self._free.pop()
                self._busy[worker.pipe] = worker, task
                with suppress(BrokenPipeError, ConnectionResetError):  # it was killed meanwhile
                    worker.pipe.send(task)
            for pipe in wait([*self._busy]):
                worker, task = self._busy.pop(pipe)
                try:
                    result = worker.pipe.recv()
                except (EOFError, OSError):  # killed, perhaps while it sent
                    worker.kill()
                    worker = self._start()
                    deaths[id(task)] += 1
                    result = WorkerError(task[0], f"killed {MAX_ATTEMPTS} workers")
                self._free.append(worker)
                if 0 < deaths[id(task)] < MAX_ATTEMPTS and isinstance(result, WorkerError):
                    waiting.appendleft(task)
                else:
                    yield task, result

    def _start(self) -> _Worker:
        here, there = self._context.Pipe()
        process = self._context.Process(target=_work, args=(there, self._job))
        process.start()
        there.close()
        return _Worker(process, here)


def _work(pipe: "Connection[Any, Any]", job: object) -> None:
    """Runs tasks until the driver is gone, even if that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver ends its workers
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            pipe.send(done(job, *pipe.recv()))


def done(job: object, name: str, argument: object) -> object:
    """Returns the result of a task, or the PlateidError that it raised."""
    try:
        return getattr(job, name)(argument)
    except PlateidError as error:
        return error
