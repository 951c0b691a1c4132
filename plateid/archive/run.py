"""A whole run: finds, plans, reads and merges; a run that is interrupted is resumed by the next."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

from plateid.archive.chunk_reader import ChunkResult, Job, ReadOptions
from plateid.archive.ledger import Ledger, opened_ledger
from plateid.archive.merge import merged
from plateid.archive.output import write_output
from plateid.archive.plan import Chunk, plan
from plateid.archive.probe import CACHE_BYTES, Recording, shown, stamp_of
from plateid.archive.report import write_report
from plateid.archive.workers import Task, Workers
from plateid.capture.images import find_videos
from plateid.config.models import bundle_path
from plateid.errors import PlateidError, SourceError, WorkerError
from plateid.models.bundle import Bundle

BATCH = 200
"""Number of probes that are noted at once: each fsync takes milliseconds."""


@dataclass(frozen=True)
class RunOptions:
    """What to read (paths and URLs), how, and where the results go.

    `start` is that of files that state none.
    """

    sources: tuple[Path | str, ...]
    out: Path
    read: ReadOptions
    chunk_s: float = 120.0
    start: datetime | None = None
    force: bool = False
    cache_bytes: int = CACHE_BYTES


@dataclass
class Progress:
    """How far a run is: seconds of recordings and files; `failed` files have a reason."""

    total_s: float = 0.0
    done_s: float = 0.0
    files: int = 0
    total_files: int = 0
    passes: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    resumed_s: float = 0.0
    started: float = field(default_factory=time.monotonic)

    @property
    def speed(self) -> float:
        """Seconds of recordings that are read in a second."""
        return (self.done_s - self.resumed_s) / max(time.monotonic() - self.started, 1e-3)

    def to_json(self) -> dict[str, Any]:
        """Returns the values of a progress line."""
        left_s = round((self.total_s - self.done_s) / self.speed, 1) if self.speed else None
        values = {"done_s": self.done_s, "total_s": self.total_s, "speed": self.speed}
        values |= {"files": self.files, "total_files": self.total_files, "failed": len(self.failed)}
        return {name: round(value, 2) for name, value in values.items()} | {"left_s": left_s}


@dataclass(frozen=True)
class Run:
    """One run; `start_workers` starts workers that run the methods of a job."""

    options: RunOptions
    start_workers: Callable[[Job], AbstractContextManager[Workers]]
    show: Callable[[Progress], None]
    progress: Progress = field(default_factory=Progress)

    def run(self) -> Progress:
        """Reads all that is not done yet and writes the output.

        Raises ArchiveError if the output folder or the cache cannot be used, ConfigError if the
        folder was read with other options, BundleError and ModelError if a network cannot be used.
        """
        options, progress = self.options, self.progress
        bundle = Bundle(Path(bundle_path(options.read.bundle))).spec
        hashes = f"{bundle.name} {bundle.detector.sha256[:12]} {bundle.reader.sha256[:12]}"
        own = {"bundle": hashes, "chunk_s": options.chunk_s, "start": str(options.start)}
        with opened_ledger(options.out) as ledger:
            ledger.use(asdict(options.read) | own, force=options.force)
            job = Job(options.read, options.start, options.cache_bytes)
            with self.start_workers(job) as workers:
                timelines = plan(self._recordings(ledger, workers), options.chunk_s)
                self._read(ledger, workers, timelines)
            results = (((c, ledger.result(c)) for c in timeline) for timeline in timelines)
            passes = write_output(options.out, chain.from_iterable(map(merged, results)))
            write_report(options.out, timelines, passes, progress.failed)
        progress.passes = passes.total()
        return progress

    def _recordings(self, ledger: Ledger, workers: Workers) -> list[Recording]:
        """Returns all recordings; probes those that are new, have changed, or failed before."""
        found: dict[str, Recording] = {}
        new: dict[str, Task] = {}
        failed = self.progress.failed
        for source, failure in _found(self.options.sources):
            known = ledger.recording(source)
            if failure is not None:
                failed[shown(source)] = str(failure.strerror)
            elif known and known.stamp == stamp_of(source):
                found[source] = known
            else:
                new[source] = "probe", source
        results = workers.run(new.values(), lambda _: None)
        while batch := [*islice(results, BATCH)]:
            good = [each for _, each in batch if isinstance(each, Recording)]
            ledger.note_recordings(good)
            found |= {each.source: each for each in good}
            for (_, source), error in batch:
                if isinstance(error, SourceError | WorkerError):
                    failed[shown(source)] = error.reason
                elif isinstance(error, PlateidError):  # concerns the others too
                    raise error
        self.progress.total_files = len(found) + len(failed)
        return [*found.values()]

    def _read(self, ledger: Ledger, workers: Workers, timelines: Sequence[Sequence[Chunk]]) -> None:
        """Reads the chunks that are not done, the biggest first."""
        progress = self.progress
        chunks = [chunk for timeline in timelines for chunk in timeline]
        done = ledger.done()
        todo = [chunk for chunk in chunks if chunk.key not in done]
        todo.sort(key=lambda chunk: chunk.segments[0].file.load * chunk.read_s, reverse=True)
        left = Counter(segment.file.source for chunk in todo for segment in chunk.segments)
        progress.total_s = sum(chunk.read_s for chunk in chunks)
        progress.done_s = progress.resumed_s = progress.total_s - sum(c.read_s for c in todo)
        progress.files = progress.total_files - len(left)
        progress.started = time.monotonic()
        self.show(progress)
        tasks = [("read", chunk) for chunk in todo]
        for (_, chunk), result in workers.run(tasks, lambda task: ledger.note_attempt(task[1].key)):
            if isinstance(result, WorkerError):
                result = ChunkResult(damaged={shown(chunk.segments[0].file.source): result.reason})  # noqa: PLW2901
            if isinstance(result, PlateidError):
                raise result
            ledger.note(chunk.key, result)
            progress.failed |= result.damaged
            progress.done_s += chunk.read_s
            for segment in chunk.segments:
                left[segment.file.source] -= 1
                progress.files += left[segment.file.source] == 0
            self.show(progress)


def _found(sources: Iterable[Path | str]) -> Iterator[tuple[str, OSError | None]]:
    """Yields the files of all sources, and what cannot be listed with its reason."""
    yield from find_videos(source for source in sources if isinstance(source, Path))
    for url in (source for source in sources if isinstance(source, str)):
        from plateid.archive import remote  # noqa: PLC0415 - loads clients of storages

        yield from remote.find(url)
