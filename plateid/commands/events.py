"""`plateid events` on the command line."""

import json
from collections.abc import Callable
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plateid.config.load import load_config
from plateid.core.lists import compact
from plateid.core.text import CHARSET

if TYPE_CHECKING:
    from plateid.store.search import Query

CONFIG = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=Path("plateid.toml"),
    show_default=True,
    help="Configuration file.",
)
MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
FILTERS = (
    click.option("--plate", help="A plate, or a pattern: * for any text, ? for any character."),
    click.option("--fuzzy", is_flag=True, help="Also plates that are one edit away."),
    click.option("--camera", help="Name of a camera."),
    click.option("--since", metavar="DATE", help="First seen then or later: 2026-11-24T18:30."),
    click.option("--until", metavar="DATE", help="First seen then or before."),
    click.option(
        "--listed", type=click.Choice(["any", "none", "allow", "deny", "watch"]), help="On a list."
    ),
    click.option("--min", help="Least confidence."),
    click.option("--max", help="Greatest confidence."),
)
COLUMNS = (
    "{first_seen:24} {camera:12} {plate:10} {confidence:4.2f} {region:2} {direction:9} {listed}"
)


@click.group()
def events() -> None:
    """The events that this box keeps."""


def filters(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a search."""
    return reduce(lambda made, option: option(made), reversed(FILTERS), command)


def fields_of(**options: Any) -> dict[str, str]:
    """What was given, as the page's form has it."""
    given = {name: value for name, value in options.items() if value not in (None, False)}
    return {name: "1" if value is True else str(value) for name, value in given.items()}


def query_of(**options: Any) -> "Query":
    """What the options look for.

    Raises:
        click.UsageError: They cannot be understood.
    """
    from plateid.store.search import QueryError, parse_query  # noqa: PLC0415 - --help is fast

    try:
        return parse_query(fields_of(**options))
    except QueryError as error:
        raise click.UsageError(str(error)) from error


@events.command()
@CONFIG
@filters
@click.option(
    "--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="How many."
)
@click.option("--json", "as_json", is_flag=True, help="Each as a line of JSON.")
def search(path: Path, *, limit: int, as_json: bool, **options: Any) -> None:
    """Finds passes, the newest first: of each its last event."""
    from plateid.store.history import History  # noqa: PLC0415 - --help is fast
    from plateid.store.search import find  # noqa: PLC0415

    found = find(History(load_config(path).store.path), query_of(limit=limit, **options))
    for event in found.events:
        click.echo(json.dumps(event, ensure_ascii=False) if as_json else _line(event))
    if found.after and not as_json:
        click.echo(f"and more than {limit}: a larger --limit, or plateid events export", err=True)


def _line(event: dict[str, Any]) -> str:
    region, direction, listed = (event[key] or {} for key in ("region", "direction", "list"))
    return COLUMNS.format(
        **{key: event[key] for key in ("first_seen", "camera", "plate", "confidence")},
        region=region.get("code", ""),
        direction=direction.get("way") or "",
        listed=f"{listed['kind']}: {listed['name']}" if listed else "",
    ).rstrip()


@events.command()
@CONFIG
@filters
@click.option(
    "--format", "form", type=click.Choice(["csv", "json"]), default="csv", show_default=True
)
def export(path: Path, *, form: str, **options: Any) -> None:
    """Writes all that a search finds to standard output: a row a pass, or JSON lines."""
    from plateid.store.export import csv_lines, json_lines  # noqa: PLC0415 - --help is fast
    from plateid.store.history import History  # noqa: PLC0415
    from plateid.store.search import find_all  # noqa: PLC0415

    history = History(load_config(path).store.path)
    found = find_all(history, query_of(**options))
    for line in (csv_lines if form == "csv" else json_lines)(found):
        click.echo(line, nl=False)


def _local(moment: datetime) -> datetime:
    try:
        return moment.astimezone()
    except (ValueError, OverflowError) as error:
        raise click.BadParameter("is before all time zones", param_hint="--before") from error


@events.command()
@CONFIG
@click.option(
    "--before",
    type=MOMENT,
    metavar="DATE",
    help="What was seen before, local time: 2026-11-24, 2026-11-24T18:30.",
)
@click.option("--plate", metavar="TEXT", help="Every pass for which this plate was held possible.")
@click.option("--all", "everything", is_flag=True, help="Every event.")
def purge(path: Path, *, before: datetime | None, plate: str | None, everything: bool) -> None:
    """Deletes events, sent or not, so that nothing of them is left in the store's file."""
    if (before is not None) + (plate is not None) + everything != 1:
        raise click.UsageError("give one of --before, --plate and --all")
    config = load_config(path)
    from plateid.store.labels import Labels  # noqa: PLC0415
    from plateid.store.purge import Purge  # noqa: PLC0415 - --help is fast

    if plate is not None and not set(compact(plate) or " ") <= set(CHARSET):
        raise click.BadParameter("is not of the letters A to Z and digits", param_hint="--plate")
    purging = Purge(config.store.path)
    if plate is not None:
        purged = purging.plate(plate)
    else:
        purged = purging.before(_local(before)) if before else purging.all()
    Labels(config.store.path).forget()
    click.echo(f"{purged.events} events deleted, {purged.unsent} of them before they were sent")
    for file in purged.files:
        click.echo(f"{file} deleted")
    for log_file in (config.logfile.csv, config.logfile.jsonl):
        if log_file is not None and log_file.exists():
            click.echo(f"{log_file} is left alone")
