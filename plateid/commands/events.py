"""`plateid events`: searches, exports and deletes stored events."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import Any

import click

from plateid.commands.options import CONFIG
from plateid.config.load import load_config
from plateid.config.root import Config
from plateid.core.lists import compact
from plateid.core.text import CHARSET
from plateid.core.wording import counted
from plateid.errors import StoreError, printable
from plateid.store.history import History
from plateid.store.purge import Purge
from plateid.store.search import csv_lines, find, find_all, json_lines
from plateid.store.search_query import Query, QueryError, parse_query

LOCAL_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
"""Formats of a date or time on the command line."""
FILTERS = (
    click.option("--plate", help="A plate or a pattern: * is any text, ? any character."),
    click.option("--fuzzy", is_flag=True, help="Include plates at edit distance 1."),
    click.option("--camera", help="Name of a camera."),
    click.option("--since", metavar="DATE", help="First seen then or later: 2026-11-24T18:30."),
    click.option("--until", metavar="DATE", help="First seen then or before."),
    click.option(
        "--listed", type=click.Choice(["any", "none", "allow", "deny", "watch"]), help="On a list."
    ),
    click.option("--min", help="Minimum confidence."),
    click.option("--max", help="Maximum confidence."),
)
"""Options of a search."""
COLUMNS = (
    "{first_seen:25} {camera:12} {plate:10} {confidence:4.2f} {region:2} {direction:9} {listed}"
)
"""Format of one result of a search."""
NO_EVENTS = "no events found"


@click.group(epilog='Example: plateid events search --plate "B68*"')
def events() -> None:
    """Search, export and delete stored events."""


def filters(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options of a search to a command."""
    return reduce(lambda decorated, option: option(decorated), reversed(FILTERS), command)


def open_history(config: Config) -> History:
    """Returns the history; raises StoreError if there is no store."""
    path = config.store.path
    if not path.exists():
        raise StoreError(path, "does not exist: no event has been stored")
    return History(path)


def _query(**options: Any) -> Query:
    given = {name: value for name, value in options.items() if value not in (None, False)}
    fields = {name: "1" if value is True else str(value) for name, value in given.items()}
    try:
        return parse_query(fields)
    except QueryError as error:
        raise click.UsageError(str(error)) from error


@events.command(epilog='Example: plateid events search --plate "B68*" --since 2026-11-24')
@CONFIG
@filters
@click.option("--limit", type=click.IntRange(1, 500), default=20, help="Maximum number of passes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def search(path: Path, *, limit: int, as_json: bool, **options: Any) -> None:
    """Find passes, the newest first, and print the last event of each.

    Times are local times with their offset from UTC.
    """
    config = load_config(path)
    found = find(open_history(config), _query(limit=limit, **options))
    for event in found.events:
        click.echo(json.dumps(event, ensure_ascii=False) if as_json else _line(event))
    if not found.events:
        click.echo(_no_events(config, options["camera"]), err=as_json)
    if found.after and not as_json:
        click.echo(
            f"more than {limit} found: raise --limit, or use plateid events export", err=True
        )


def _line(event: dict[str, Any]) -> str:
    region, direction, listed = (event[key] or {} for key in ("region", "direction", "list"))
    first_seen = datetime.fromisoformat(event["first_seen"]).astimezone()
    return COLUMNS.format(
        **{key: event[key] for key in ("camera", "plate", "confidence")},
        first_seen=first_seen.isoformat(" ", "seconds"),
        region=region.get("code", ""),
        direction=direction.get("way") or "",
        listed=f"{listed['kind']}: {listed['name']}" if listed else "",
    ).rstrip()


@events.command(epilog="Example: plateid events export --camera gate > events.csv")
@CONFIG
@filters
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "json"]),
    default="csv",
    help="CSV table, or one JSON object a line.",
)
def export(path: Path, *, form: str, **options: Any) -> None:
    """Write all passes that match to standard output."""
    config = load_config(path)
    found = find_all(open_history(config), _query(**options))
    notice = _no_events(config, options["camera"])
    lines = (csv_lines if form == "csv" else json_lines)(_with_notice(found, notice))
    for line in lines:
        click.echo(line, nl=False)


def _no_events(config: Config, camera: str | None) -> str:
    """Returns the notice of an empty result; for an unknown camera, it names all cameras."""
    names = [each.name for each in config.camera]
    if camera is None or camera in names:
        return NO_EVENTS
    return printable(f"{NO_EVENTS}: there is no camera {camera}, only {', '.join(names)}")


def _with_notice(found: Iterator[dict[str, Any]], notice: str) -> Iterator[dict[str, Any]]:
    """Yields the events; prints the notice on standard error if there are none."""
    event = None
    for event in found:
        yield event
    if event is None:
        click.echo(notice, err=True)


@events.command(epilog="Example: plateid events purge --before 2026-11-24")
@CONFIG
@click.option(
    "--before",
    type=LOCAL_TIME,
    metavar="DATE",
    help="Delete events first seen before, local time: 2026-11-24, 2026-11-24T18:30.",
)
@click.option("--plate", metavar="TEXT", help="Delete passes with this plate or candidate.")
@click.option("--all", "everything", is_flag=True, help="Delete all events.")
@click.option("--yes", is_flag=True, help="Delete all events without asking.")
def purge(
    path: Path, *, before: datetime | None, plate: str | None, everything: bool, yes: bool
) -> None:
    """Delete events, sent or not, with their snapshots and labels.

    The file of the store keeps no trace of them.
    """
    if (before is not None) + (plate is not None) + everything != 1:
        raise click.UsageError("give one of --before, --plate and --all")
    if plate is not None and not set(compact(plate) or " ") <= set(CHARSET):
        raise click.BadParameter("must be letters A to Z and digits", param_hint="--plate")
    config = load_config(path)
    store = Purge(config.store.path)
    if everything and not yes:
        click.confirm(f"Delete all events in {config.store.path}?", abort=True)
    if plate is not None:
        purged = store.plate(plate)
    else:
        purged = store.before(with_offset(before)) if before else store.all()
    click.echo(f"{counted(purged.events, 'event')} deleted, {purged.unsent} of them unsent")
    for file in purged.files:
        click.echo(f"{file} deleted")
    for log_file in (config.logfile.csv, config.logfile.jsonl):
        if log_file is not None and log_file.exists():
            click.echo(f"{log_file} is not changed: delete its lines yourself")


def with_offset(moment: datetime) -> datetime:
    """Returns a local time with its offset from UTC."""
    try:
        return moment.astimezone()
    except (ValueError, OverflowError) as error:
        raise click.BadParameter("is too early", param_hint="--before") from error
