"""Options and output that several commands share."""

import ipaddress
import signal
from collections.abc import Callable
from typing import Any

import click

from plateid.config.cameras import MAX_CAMERAS
from plateid.config.load import default_config
from plateid.config.models import DEFAULT_BUNDLE
from plateid.core.option_types import FilePath, not_empty
from plateid.errors import PlateidError, printable
from plateid.service.supervisor import Supervisor


def ip_address(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    """Refuses what is not an IP address."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise click.BadParameter("must be an IP address, for example 0.0.0.0") from error


CONFIG = click.option(
    "-c",
    "--config",
    "path",
    type=FilePath(),
    default=default_config,
    show_default="plateid.toml in the current directory, else /etc/plateid/plateid.toml",
    help="Configuration file.",
)
BUNDLE = click.option(
    "--bundle",
    default=DEFAULT_BUNDLE.name,
    callback=not_empty,
    metavar="NAME|DIRECTORY",
    help="Model bundle: the name of a shipped one, or a directory.",
)


def to_counts(_context: click.Context, _parameter: click.Parameter, text: str) -> Any:
    """Parses a list of counts such as `1,2,4`."""
    try:
        counts = tuple(int(part) for part in text.split(",") if part)
    except ValueError:
        counts = (0,)
    if not all(1 <= count <= MAX_CAMERAS for count in counts):
        raise click.BadParameter(f"must be numbers from 1 to {MAX_CAMERAS}, as in 1,2,4; or empty")
    return counts


def run_check(name: str, test: Callable[..., str], *values: object) -> bool:
    """Prints the result of a test; returns whether it passed."""
    try:
        click.echo(printable(f"ok    {name:8} {test(*values)}"))
    except PlateidError as error:
        click.echo(f"FAIL  {name:8} {error}")
        return False
    return True


def supervisor_with_signals() -> Supervisor:
    """Returns a supervisor that SIGTERM and SIGINT stop, from now on."""
    supervisor = Supervisor()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
    return supervisor
