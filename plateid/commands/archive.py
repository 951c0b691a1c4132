"""`plateid archive`: reads many recordings on all cores, and searches what they show."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, redirect_stdout, suppress
from datetime import datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any, TextIO

import click

from plateid.commands.events import LOCAL_TIME, with_offset
from plateid.commands.options import BUNDLE, CONFIG
from plateid.commands.progress_report import ProgressReport
from plateid.config.load import is_hub_config, load_config, load_hub_config
from plateid.core.event_csv import csv_lines
from plateid.core.option_types import FilePath, not_nan
from plateid.core.records import rfc3339
from plateid.core.wording import counted
from plateid.errors import ConfigError, StoreError, needs_extra, printable
from plateid.store.database import parse_event
from plateid.store.event_store import EventStore

if TYPE_CHECKING:
    from plateid.archive import chunk_reader, workers
    from plateid.archive import run as archive_run

COLUMNS = "{first_seen} {camera:12} {plate:10} {confidence:4.2f} {source} at {first_seen_s:.1f} s"
"""Format of one result of a search."""
_TIMES = {"first_seen", "last_seen"}


class _Source(FilePath):
    """A path as a Path, or a URL as a string."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Leaves a URL as it is."""
        return value if "://" in str(value) else super().convert(value, param, ctx)


@click.group(epilog="Example: plateid archive read recordings --out plates")
def archive() -> None:
    """Read many recordings on all cores, and search what they show.

    Needs the extra archive: pip install 'plateid[archive]'.
    """
    if None in (find_spec("pyarrow"), find_spec("duckdb"), find_spec("s3fs")):
        raise ConfigError("plateid archive", needs_extra("archive"))


@archive.command(epilog="Example: plateid archive read recordings --out plates")
@click.argument("sources", nargs=-1, required=True, type=_Source())
@click.option("--out", required=True, type=FilePath(), help="Folder of the results.")
@click.option("--workers", type=click.IntRange(1, 4096), help="Processes; default: one per core.")
@click.option("--address", metavar="HOST:PORT", help="Ray cluster that reads; or ray://HOST:PORT.")
@click.option(
    "--chunk-s",
    type=click.FloatRange(10, 86400),
    default=120.0,
    callback=not_nan,
    help="Length of a part that one worker reads at a time, seconds.",
)
@click.option(
    "--cache-gb",
    type=click.FloatRange(0, min_open=True),
    default=16.0,
    callback=not_nan,
    help="Size of the copies of files at URLs, on each machine.",
)
@click.option("--start", type=LOCAL_TIME, help="Start of files that state none.")
@click.option("--fast", is_flag=True, help="Decode only key frames while nothing moves.")
@click.option("--crops", is_flag=True, help="Write an image of each plate, and contact sheets.")
@click.option("--labels", is_flag=True, help="Write self-labels for python -m train learn --self.")
@click.option(
    "--import",
    "import_into",
    type=FilePath(),
    metavar="FILE",
    help="Add the results to the history of this plateid.toml or hub.toml.",
)
@click.option("--force", is_flag=True, help="Read everything again if options have changed.")
@click.option("--json", "as_json", is_flag=True, help="Print progress as JSON lines.")
@click.option("--regions", default="", metavar="gb,ie", help="As plateid read.")
@click.option("--strict", is_flag=True, help="As plateid read.")
@click.option("--min-score", type=click.FloatRange(0, 1), callback=not_nan, help="As plateid read.")
@BUNDLE
def read(
    sources: Sequence[Path | str], *, out: Path, import_into: Path | None, **options: Any
) -> None:
    """Read the plates in video files and folders, also at URLs: s3://bucket/folder, https://...

    Folders are searched recursively. The same command resumes what was interrupted.
    """
    from plateid.archive.run import Run  # noqa: PLC0415 - loads the networks' libraries

    start = _workers(options.pop("workers"), options.pop("address"))
    chosen = _options(sources, out, **options)
    out_lines = sys.stdout if options["as_json"] else None
    with ProgressReport() as report, redirect_stdout(sys.stderr):  # Ray prints what it retries
        if not out_lines:
            report.show("seconds", 0, None, ", planning")
        progress = Run(chosen, start, partial(_shown, report, out_lines)).run()
    if import_into is not None:
        click.echo(_import(out, import_into), err=True)
    for source, reason in progress.failed.items():
        click.echo(printable(f"{source}: {reason}"), err=True)
    summary = {"passes": progress.passes} | progress.to_json()
    text = (
        f"{counted(progress.passes, 'pass', 'passes')} in {progress.total_s / 3600:.2f} hours of "
        f"{counted(progress.total_files, 'file')}, {len(progress.failed)} failed: {out}"
    )
    click.echo(json.dumps(summary) if options["as_json"] else printable(text))
    sys.exit(1 if progress.failed else 0)


@archive.command(epilog='Example: plateid archive search plates "B68*" --similar')
@click.argument("folder", type=FilePath())
@click.argument("pattern")
@click.option(
    "--similar", is_flag=True, help="Include plates at one edit or confusable characters."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with a header.")
def search(folder: Path, pattern: str, *, similar: bool, as_json: bool, as_csv: bool) -> None:
    """Find plates in the results: * is any text, ? any character."""
    from plateid.archive.output import SCHEMA  # noqa: PLC0415 - loads pyarrow
    from plateid.archive.search import search as find  # noqa: PLC0415 - loads pyarrow

    shown = [name for _, name, *_ in Formatter().parse(COLUMNS) if name]
    columns = SCHEMA.names[:-1] if as_json or as_csv else shown
    for number, row in enumerate(find(folder, pattern, columns, similar=similar)):
        values = row | {name: rfc3339(row[name]) for name in row.keys() & _TIMES}
        if as_json:
            click.echo(json.dumps(values))
        elif as_csv:
            cells = [json.dumps(v) if isinstance(v, list) else v for v in values.values()]
            click.echo("".join(csv_lines([[*values], cells] if not number else [cells])), nl=False)
        else:
            click.echo(printable(COLUMNS.format(**values)))


@archive.command("import", epilog="Example: plateid archive import plates -c plateid.toml")
@click.argument("folder", type=FilePath())
@CONFIG
def import_(folder: Path, *, path: Path) -> None:
    """Add the results to the history of a device or a hub, without sending them.

    The configuration may be a hub.toml. Repeating it is safe.
    """
    click.echo(_import(folder, path))


def _import(folder: Path, path: Path) -> str:
    """Adds the results to a history, and says how many there are and where."""
    from plateid.archive.search import events  # noqa: PLC0415 - loads DuckDB

    if is_hub_config(path):
        from plateid.hub.history_import import import_events  # noqa: PLC0415 - needs the extra

        config = load_hub_config(path)
        counts = import_events(config, events(folder))
        if refused := counts["quarantined"]:
            reason = f"refuses {counted(refused, 'event')}: its quarantine says why"
            raise StoreError(config.database.endpoint, reason)
        return f"{counted(counts.total(), 'event')} in {config.database.endpoint}"
    with closing(EventStore(load_config(path).store.path)) as store:
        count, outputs = 0, [name for (name,) in store.rows("SELECT name FROM output")]
        for text in events(folder):
            store.append(parse_event(text), done=outputs)
            count += 1
        return f"{counted(count, 'event')} in {store.path}"


def _workers(
    count: int | None, address: str | None
) -> "Callable[[chunk_reader.Job], AbstractContextManager[workers.Workers]]":
    if address is None:
        from plateid.archive.workers import ProcessPool  # noqa: PLC0415 - as above

        return partial(ProcessPool, count=count or len(os.sched_getaffinity(0)))
    if find_spec("ray") is None:
        raise ConfigError("--address", needs_extra("archive-ray"))
    from plateid.archive.ray_pool import RayPool  # noqa: PLC0415 - as above

    return partial(RayPool, address=address, count=count)


def _options(
    sources: Sequence[Path | str], out: Path, *, start: datetime | None, **options: Any
) -> "archive_run.RunOptions":
    from plateid.archive.chunk_reader import ReadOptions  # noqa: PLC0415 - as above
    from plateid.archive.run import RunOptions  # noqa: PLC0415 - as above

    regions = tuple(filter(None, options["regions"].split(",")))
    names = ("bundle", "strict", "min_score", "fast", "crops", "labels")
    return RunOptions(
        tuple(sources),
        out,
        ReadOptions(regions=regions, **{name: options[name] for name in names}),
        chunk_s=options["chunk_s"],
        start=with_offset(start) if start else None,
        force=options["force"],
        cache_bytes=round(options["cache_gb"] * 1e9),
    )


def _shown(report: ProgressReport, out: TextIO | None, progress: "archive_run.Progress") -> None:
    if out:
        with suppress(BrokenPipeError):
            click.echo(json.dumps(progress.to_json()), file=out)
        return
    about = (
        f", {progress.files} of {counted(progress.total_files, 'file')}, "
        f"{len(progress.failed)} failed, {progress.speed:.1f}x real time"
    )
    report.show("seconds", progress.done_s, progress.total_s, about)
