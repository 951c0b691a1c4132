"""The report of a run as one HTML page: coverage, gaps, plates per hour, and failed files."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path

from plateid.archive.output import Passes
from plateid.archive.plan import Chunk
from plateid.files import write_whole

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>plateid archive</title>
<style>body{{font:14px sans-serif;margin:2em}}td{{min-width:2em;text-align:right}}
.read{{background:#9c9}}.some{{background:#cd9}}</style><h1>Archive</h1>
<p>{passes} passes, {failed} failed files. Times are UTC; a cell is an hour with its number of
passes, green if it was recorded.</p>{cameras}<h2>Failed files</h2><ul>{failures}</ul></html>
"""
Span = tuple[datetime, datetime]


def write_report(
    out: Path, timelines: Sequence[Sequence[Chunk]], passes: Passes, failed: Mapping[str, str]
) -> None:
    """Writes `report.html`: a row a day and a cell an hour, with the number of passes."""
    spans = defaultdict[str, list[Span]](list)
    for timeline in timelines:
        first, last = timeline[0].segments[0].file, timeline[-1].segments[-1].file
        end = last.start + timedelta(seconds=last.duration_s)
        spans[timeline[0].camera].append((first.start.astimezone(UTC), end.astimezone(UTC)))
    page = PAGE.format(
        passes=passes.total(),
        failed=len(failed),
        cameras="".join(_camera(name, sorted(spans[name]), passes) for name in sorted(spans)),
        failures="".join(f"<li>{escape(s)}: {escape(why)}" for s, why in sorted(failed.items())),
    )
    write_whole(out / "report.html", page.encode())


def _camera(camera: str, spans: Sequence[Span], passes: Passes) -> str:
    read, gaps, known_to = Counter[datetime](), "", spans[0][0]
    for start, end in spans:
        if start > known_to:
            gaps += f" {known_to:%Y-%m-%d %H:%M:%S} to {start:%Y-%m-%d %H:%M:%S};"
        known_to = max(known_to, end)
        read.update(dict(_hours(start, end)))
    rows = ""
    for day in sorted({hour.replace(hour=0) for hour in read}):
        rows += f"<tr><th>{day:%Y-%m-%d}"
        for hour in (day + timedelta(hours=number) for number in range(24)):
            kind = "read" if read[hour] > 3590 else "some" if read[hour] else ""  # noqa: PLR2004 - all
            rows += f"<td class='{kind}' title='{read[hour]} s'>{passes[camera, hour] or ''}"
    count, hours = sum(passes[camera, hour] for hour in read), max(read.total(), 1) / 3600
    figures = f"{hours:.1f} hours, {count} passes, {count / hours:.1f} an hour. Gaps:"
    return f"<h2>{escape(camera)}</h2><p>{figures}{gaps or ' none'}</p><table>{rows}</table>"


def _hours(start: datetime, end: datetime) -> Iterator[tuple[datetime, int]]:
    """Yields the hours of a span, with its seconds in each."""
    while start < end:
        hour = start.replace(minute=0, second=0, microsecond=0)
        until = min(end, hour + timedelta(hours=1))
        yield hour, round((until - start).total_seconds())
        start = until
