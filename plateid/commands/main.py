"""The command line."""

import errno
import faulthandler
import functools
import io
import math
import secrets
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from plateid import __version__
from plateid.commands.events import CONFIG, events
from plateid.commands.models import models, to_bundle
from plateid.config.load import load_config
from plateid.config.models import DEFAULT_BUNDLE
from plateid.config.plate_formats import load_formats
from plateid.errors import ConfigError, PlateidError, reason_of
from plateid.service.logs import configure_logs
from plateid.service.supervisor import Supervisor

BUNDLE = click.option(
    "--bundle",
    callback=to_bundle,
    default=str(DEFAULT_BUNDLE),
    metavar="NAME|DIRECTORY",
    help="Another model bundle: one that ships with plateid, by its name, or a directory.",
)


class Commands(click.Group):
    """An expected failure is one line and an exit code: 2 for a bad configuration, else 1."""

    def invoke(self, context: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(context)
        except PlateidError as error:
            click.echo("\n".join(error.lines), err=True)
            sys.exit(2 if isinstance(error, ConfigError) else 1)
        except OSError as error:
            is_ours = context.invoked_subcommand == "run" or error.filename is not None
            if error.errno != errno.ENOSPC or is_ours:
                raise
            click.echo(f"the output cannot be written: {error.strerror}", err=True)
            sys.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="plateid")
def main() -> None:
    """Reads licence plates and publishes one MQTT event per vehicle."""
    configure_logs()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file name may hold any bytes
        sys.stdout.reconfigure(errors="backslashreplace")


def stopped_by_signals() -> Supervisor:
    """A supervisor that SIGTERM and SIGINT tell to stop, from the first moment on."""
    supervisor = Supervisor()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
    return supervisor


@main.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--out", type=click.Path(path_type=Path), help="Directory for annotated copies.")
@click.option(
    "--regions", default="", metavar="ro,eu", help="Countries to expect; eu: all of the Union."
)
@click.option("--strict", is_flag=True, help="Only texts that the regions' syntax allows.")
@click.option(
    "--formats",
    "tables",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="More plate syntax, or other, in the form of plateid/core/formats.toml.",
)
@click.option(
    "--min-score", type=click.FloatRange(0, 1), help="Detection threshold instead of the bundle's."
)
@click.option("--crops", is_flag=True, help="Each picture is one plate that is already cut out.")
@BUNDLE
def read(
    sources: tuple[str, ...], *, regions: str, strict: bool, tables: Path | None, **options: Any
) -> None:
    """Reads pictures, folders and clips once."""
    if math.isnan(options["min_score"] or 0):
        raise click.BadParameter("is not a number", param_hint="--min-score")
    from plateid.commands.read import ReadCommand, ReadOptions  # noqa: PLC0415 - networks load slowly

    formats = load_formats(tables).expecting(regions.split(","), key="--regions", strict=strict)
    command = ReadCommand(ReadOptions(formats=formats, **options))
    sys.exit(0 if command.run([Path(source) for source in sources]) else 1)


@main.command()
@CONFIG
def run(path: Path) -> None:
    """Watches the cameras until it is told to stop; SIGHUP makes it read its configuration anew."""
    supervisor = stopped_by_signals()
    signal.signal(signal.SIGHUP, lambda *_: supervisor.reload())
    faulthandler.enable()  # the watchdog's SIGABRT shows where each thread hangs
    from plateid.app import App  # noqa: PLC0415 - as above

    load = functools.partial(load_config, path)
    App(load(), supervisor, load=load, file=path).run()


@main.command()
@click.option("--loop", is_flag=True, help="Play the clip again and again.")
def demo(*, loop: bool) -> None:
    """Plays a clip through the whole of plateid, a broker included, and prints the events."""
    supervisor = stopped_by_signals()
    from plateid.demo import run_demo  # noqa: PLC0415 - as above

    run_demo(supervisor, loop=loop)


@main.command()
@CONFIG
def check(path: Path) -> None:
    """Checks configuration, bundle, cameras, broker, disk and clock."""
    from plateid.commands.check import run_checks  # noqa: PLC0415 - as above

    sys.exit(0 if run_checks(path) else 1)


def to_counts(_context: click.Context, _parameter: click.Parameter, text: str) -> Any:
    """Numbers of cameras."""
    try:
        counts = tuple(int(part) for part in text.split(",") if part)
    except ValueError:
        counts = (0,)
    if any(count < 1 for count in counts):
        raise click.BadParameter("must be numbers from 1 on, as 1,2,4; or empty")
    return counts


@main.command()
@click.option("--clip", type=click.Path(path_type=Path), help="Clip to use instead of the demo's.")
@BUNDLE
@click.option(
    "--cameras",
    callback=to_counts,
    default="1,2,4,8,16",
    show_default=True,
    help="Numbers of cameras to try; empty: only what one frame costs.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(1),
    default=24.0,
    show_default=True,
    help="How long each number of cameras is watched.",
)
@click.option("--json", type=click.File("w", lazy=False), help="File for all figures.")
@click.option("--picture", type=click.File("w", lazy=False), help="File for a picture, SVG.")
def bench(**options: Any) -> None:
    """Measures this machine: each stage of a frame, and how many cameras it holds."""
    from plateid.bench import BenchOptions, run_bench  # noqa: PLC0415 - as above

    run_bench(BenchOptions(**options))


main.add_command(models)
main.add_command(events)


@main.group()
def web() -> None:
    """Who may see the live page."""


@web.command("set-password")
@CONFIG
@click.option("--viewer", is_flag=True, help="Of viewers, who change nothing.")
@click.option("--remove", is_flag=True, help="Nobody has it any more.")
def set_password(path: Path, *, viewer: bool, remove: bool) -> None:
    """Sets the password of the live page: typed twice, or a line of standard input."""
    from plateid.web import credentials  # noqa: PLC0415 - as above

    file = credentials.credentials_file(load_config(path).store.path)
    role = "viewer" if viewer else "admin"
    try:
        password = "" if remove else typed_password()
        hashed = password and credentials.hash_password(password)
    except ValueError as error:
        raise click.ClickException(reason_of(error)) from error
    known = credentials.read_credentials(file)
    credentials.write_credentials(file, replace(known, **{role: hashed}))
    click.echo(f"{file}: password of {role}s {'removed' if remove else 'set'}")


def typed_password() -> str:
    """Typed twice without echo on a terminal, else a line of standard input."""
    if sys.stdin.isatty():
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return password
    return sys.stdin.readline().rstrip("\n")


@web.command("new-token")
@CONFIG
def new_token(path: Path) -> None:
    """Makes a token for the JSON API and prints it, once; the one before is void."""
    from plateid.web import credentials  # noqa: PLC0415 - as above

    file = credentials.credentials_file(load_config(path).store.path)
    token = secrets.token_urlsafe(32)
    known = credentials.read_credentials(file)
    credentials.write_credentials(file, replace(known, token=credentials.hash_token(token)))
    click.echo(token)
