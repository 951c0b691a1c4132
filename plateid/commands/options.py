"""Options that several commands share."""

import signal
from pathlib import Path
from typing import Any

import click

from plateid.config.load import default_config
from plateid.config.models import DEFAULT_BUNDLE
from plateid.service.supervisor import Supervisor

CONFIG = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=default_config,
    show_default="plateid.toml in the current directory, else /etc/plateid/plateid.toml",
    help="Configuration file.",
)
BUNDLE = click.option(
    "--bundle",
    default=DEFAULT_BUNDLE.name,
    show_default=True,
    metavar="NAME|DIRECTORY",
    help="Model bundle: the name of a shipped one, or a directory.",
)


def to_counts(_context: click.Context, _parameter: click.Parameter, text: str) -> Any:
    """Parses a list of counts such as `1,2,4`."""
    try:
        counts = tuple(int(part) for part in text.split(",") if part)
    except ValueError:
        counts = (0,)
    if any(count < 1 for count in counts):
        raise click.BadParameter("must be numbers from 1, for example 1,2,4; or empty")
    return counts


def supervisor_with_signals() -> Supervisor:
    """Returns a supervisor that SIGTERM and SIGINT stop, from now on."""
    supervisor = Supervisor()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
    return supervisor
