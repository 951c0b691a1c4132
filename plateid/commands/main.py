"""The `plateid` command: finds the sub-commands, and turns expected failures into exit codes."""

import errno
import io
import os
import sys
from importlib import import_module
from typing import Any

import click

from plateid import __version__
from plateid.errors import ConfigError, PlateidError
from plateid.service.logs import configure_logs

COMMANDS = {
    "demo": "Play a video through all of plateid and print the events.",
    "init": "Write a configuration, and test the camera and the broker that it names.",
    "read": "Read the plates in images, directories and video files.",
    "run": "Watch the cameras and publish events until stopped.",
    "check": "Check configuration, bundle, cameras, broker, disk and clock.",
    "bench": "Measure the speed and accuracy of this device.",
    "events": "Search, export and delete stored events.",
    "archive": "Read many recordings on all cores, and search what they show.",
    "report": "Say how well a camera reads.",
    "models": "List, verify and install model bundles, and build TensorRT engines.",
    "hub": "Collect the events of many devices.",
    "web": "Set the passwords and tokens of the web UI.",
    "enrol": "Make this device one of a hub's fleet.",
}
"""The commands, each in a module of its name, which is imported when it is called."""

OUTPUT_ERRORS = {errno.ENOSPC, errno.EBADF, errno.EIO}
"""Errors of a standard output on a full or broken disk, or that the caller has closed."""


class Commands(click.Group):
    """The group of all commands."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """Returns the names of the commands."""
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Imports a command."""
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"plateid.commands.{name}"), name)
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands without importing them: `--help` is fast."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, **extra: Any) -> Any:
        """Runs the command line; output that cannot be written is exit code 1."""
        try:
            return super().main(*args, **extra)
        except OSError as error:
            is_service = sys.argv[1:2] == ["run"]
            if error.errno not in OUTPUT_ERRORS or error.filename is not None or is_service:
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the rest is dropped
            click.echo(f"the output cannot be written: {error.strerror}", err=True)
            sys.exit(1)

    def invoke(self, context: click.Context) -> Any:
        """Runs a command; a wrong configuration is exit code 2, another failure 1."""
        try:
            return super().invoke(context)
        except PlateidError as error:
            click.echo("\n".join(error.lines), err=True)
            sys.exit(2 if isinstance(error, ConfigError) else 1)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    epilog="Example: plateid read car.jpg",
)
@click.version_option(__version__, prog_name="plateid")
def main() -> None:
    """Read licence plates and publish one MQTT event per vehicle."""
    configure_logs()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file name may hold any bytes
        sys.stdout.reconfigure(errors="backslashreplace")
