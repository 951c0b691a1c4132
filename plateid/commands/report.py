"""`plateid report`: says how well a camera reads, and why."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from plateid.commands.events import LOCAL_TIME, open_history, with_offset
from plateid.commands.options import CONFIG
from plateid.config.load import load_config
from plateid.core.records import rfc3339
from plateid.core.wording import counted
from plateid.store.report_card import Period, ReportCard, Share, make_report

DAYS = 7
"""Length of the period by default, days."""


@click.command(epilog="Example: plateid report --camera gate --since 2026-11-24")
@CONFIG
@click.option("--camera", metavar="NAME", help="Name of a camera; by default all.")
@click.option("--since", type=LOCAL_TIME, metavar="DATE", help="Begin; by default 7 days ago.")
@click.option("--until", type=LOCAL_TIME, metavar="DATE", help="End; by default now.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def report(
    path: Path, *, camera: str | None, since: datetime | None, until: datetime | None, as_json: bool
) -> None:
    """Say how well a camera reads.

    The hit rate needs up to 60 random passes that you confirm on the page Report of the web UI.
    """
    config = load_config(path)
    if camera and camera not in (names := [each.name for each in config.camera]):
        raise click.BadParameter(f"is none of {', '.join(names)}", param_hint="--camera")
    end = with_offset(until) if until else datetime.now(UTC)
    begin = with_offset(since) if since else end - timedelta(days=DAYS)
    card = make_report(open_history(config), Period(begin, end, camera or ""))
    click.echo(json.dumps(_values(card)) if as_json else "\n".join(_lines(card)))


def _values(card: ReportCard) -> dict[str, object]:
    period = card.period
    times = {"since": rfc3339(period.since), "until": rfc3339(period.until)}
    return asdict(card) | {"period": times | {"camera": period.camera}}


def _lines(card: ReportCard) -> Iterator[str]:
    passes = card.passes + card.unpublished
    days = f"{card.period.since:%Y-%m-%d} to {card.period.until:%Y-%m-%d}"
    asked = card.right + card.wrong + card.unknown
    yield f"{card.period.camera or 'all cameras'}, {days}: {counted(passes, 'pass', 'passes')}"
    yield f"hit rate          {share_text(card.hit_rate)}"
    yield f"published, right  {share_text(card.published)}, {card.right} of {asked} confirmed"
    yield f"never published   {card.unpublished} of {passes}"
    if card.to_confirm:
        yield f"to confirm        {len(card.to_confirm)}, on the page Report of the web UI"
    for light in card.lights:
        yield (
            f"{light.light:6} {light.plates} plates measured: {light.height_px:.0f} px high, "
            f"sharpness {light.sharpness:.2f}, {light.right} of {light.confirmed} right"
        )
    yield from (f"read {read} for {truth}: {count}" for read, truth, count in card.confusions)
    yield from (f"advice: {text}" for text in card.advice)
    for hour, (seen, missed) in card.hours.items():
        yield f"{hour:02}:00  {seen:6} published {missed:6} not"


def share_text(share: Share) -> str:
    """Returns a share in percent with its interval."""
    best = "unknown" if share.best is None else f"{100 * share.best:.0f} %"
    return f"{best} ({100 * share.low:.0f} to {100 * share.high:.0f} %)"
