"""`plateid hub`: collects the events of a fleet."""

import os
import signal
from importlib.util import find_spec
from pathlib import Path

import click

from plateid.commands.options import FilePath
from plateid.config.load import load_hub_config
from plateid.errors import ConfigError

CONFIG = click.option(
    "-c",
    "--config",
    "path",
    type=FilePath(),
    default=Path("hub.toml"),
    help="Configuration file of the hub.",
)


@click.group()
def hub() -> None:
    """Collect the events of many devices in PostgreSQL.

    Needs the extra `hub`: pip install plateid[hub].
    """
    for module in ("jsonschema_rs", "nats", "psycopg"):
        if find_spec(module) is None:
            raise ConfigError("plateid hub", "needs the extra `hub`: pip install 'plateid[hub]'")


@hub.command(epilog="Example: plateid hub run -c hub.toml")
@CONFIG
def run(path: Path) -> None:
    """Store the events of all devices until stopped.

    Any number of these processes may run on one database: they share the messages.
    """
    config = load_hub_config(path)
    from plateid.hub.ingest import Ingest  # noqa: PLC0415 - needs the extra
    from plateid.service.systemd import Notifier  # noqa: PLC0415 - as above

    ingest = Ingest(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ingest.stop())
    ingest.run(Notifier(os.environ.get("NOTIFY_SOCKET", "")).ready)


@hub.command(epilog="Example: plateid hub gaps -c hub.toml")
@CONFIG
def gaps(path: Path) -> None:
    """Print the sequence numbers of events that the hub lacks, a line for each device and start.

    The exit code is 1 if there are any.
    """
    config = load_hub_config(path)
    from plateid.hub.gaps import all_gaps  # noqa: PLC0415 - needs the extra

    found = False
    for gap in all_gaps(config.database):
        found = True
        ranges = ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in gap.ranges)
        click.echo(f"{gap.device}: {gap.events} missing, requested {gap.requests} times: {ranges}")
    if found:
        raise SystemExit(1)
    click.echo("no event is missing")
