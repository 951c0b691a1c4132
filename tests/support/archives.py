"""Reads archives in the process of the test, and compares them with `ALPR.watch`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from plateid.alpr import ALPR
from plateid.archive.chunk_reader import Job, ReadOptions
from plateid.archive.merge import merged
from plateid.archive.plan import plan
from plateid.archive.run import Progress, Run, RunOptions
from plateid.archive.workers import done
from tests.support.sighted import FPS


def whole_run(alpr: ALPR, path: Path) -> list[tuple]:
    """Returns (plate, first_seen, last_seen, confidence) of each pass, as `plateid read` does."""
    left = (event for event in alpr.watch(path) if event.event_type == "plate_left")
    return sorted((e.plate, _s(e.first_seen), _s(e.last_seen), e.confidence) for e in left)


def chunked_run(bundle: Path, paths: list[Path], chunk_s: float, **options) -> list[tuple]:
    """Returns the same of a run in chunks."""
    job = Job(ReadOptions(bundle=str(bundle), **options), None)
    timelines = plan([job.probe(str(path)) for path in paths], chunk_s)
    found = []
    for chunks in timelines:
        for each in merged((chunk, job.read(chunk)) for chunk in chunks):
            times = _s(each["first_seen"]), _s(each["last_seen"])
            found.append((each["plate"], *times, each["confidence"]))
    return sorted(found)


def assert_equal(found: list[tuple], wanted: list[tuple]) -> None:
    """Equal plates, times within a frame, confidences within 0.01."""
    assert [each[0] for each in found] == [each[0] for each in wanted], (found, wanted)
    for one, other in zip(found, wanted, strict=True):
        assert abs(one[1] - other[1]) <= 1 / FPS + 1e-3, (one, other)
        assert abs(one[2] - other[2]) <= 1 / FPS + 1e-3, (one, other)
        assert abs(one[3] - other[3]) <= 0.01, (one, other)


def _s(moment: datetime) -> float:
    return moment.astimezone(UTC).timestamp()


class SerialWorkers:
    """Workers in the thread of the test; `stop_after` tasks it raises KeyboardInterrupt."""

    def __init__(self, job: Job, stop_after: int = 1 << 30) -> None:
        self._job, self._left = job, stop_after

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, tasks, begin):
        for task in tasks:
            begin(task)
            if self._left == 0:
                raise KeyboardInterrupt
            self._left -= 1
            yield task, done(self._job, *task)


def read_archive(sources: list[Path], out: Path, bundle: Path, **options) -> Progress:
    """Runs `plateid archive read` in this process."""
    workers = options.pop("workers", SerialWorkers)
    how = {name: options.pop(name) for name in ("fast", "crops", "labels") if name in options}
    chosen = RunOptions(tuple(sources), out, ReadOptions(bundle=str(bundle), **how), **options)
    return Run(chosen, workers, lambda _: None).run()
