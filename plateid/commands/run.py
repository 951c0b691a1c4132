"""`plateid run`: the service."""

import faulthandler
import signal
from pathlib import Path

import click

from plateid.commands.options import CONFIG, supervisor_with_signals
from plateid.config.load import load_config


@click.command(epilog="Example: plateid run -c plateid.toml")
@CONFIG
def run(path: Path) -> None:
    """Watch the cameras and publish events until stopped.

    SIGTERM and SIGINT stop it, SIGHUP makes it read its configuration again.
    """
    supervisor = supervisor_with_signals()
    signal.signal(signal.SIGHUP, lambda *_: supervisor.reload())
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # those that came before count now
    faulthandler.enable()  # the watchdog's SIGABRT shows where each thread hangs
    from plateid.app import App  # noqa: PLC0415 - slow to load: signals count before it

    App(load_config(path), supervisor, file=path).run()
