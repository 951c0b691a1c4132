"""`plateid run`: the service."""

import faulthandler
import signal
from pathlib import Path

import click

from plateid.commands.options import ip_address, supervisor_with_signals
from plateid.config.load import default_config, is_service, new_config
from plateid.config.service import LOOPBACK, WebConfig
from plateid.core.option_types import FilePath


@click.command(epilog="Example: plateid run -c plateid.toml")
@click.option(
    "-c",
    "--config",
    "path",
    type=FilePath(),
    show_default="plateid.toml in the current directory, else of the service; without one, the web "
    "UI sets it up",
    help="Configuration file.",
)
@click.option(
    "--setup-host",
    "host",
    callback=ip_address,
    default=str(LOOPBACK),
    help="Address that the set-up in the web UI listens on.",
)
def run(path: Path | None, host: str) -> None:
    """Watch the cameras and publish events until stopped.

    Without a configuration, it serves the web UI, in which you set it up.

    SIGTERM and SIGINT stop it, SIGHUP makes it read its configuration again.
    """
    supervisor = supervisor_with_signals()
    signal.signal(signal.SIGHUP, lambda *_: supervisor.reload())
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # those that came before count now
    faulthandler.enable()  # the watchdog's SIGABRT shows where each thread hangs
    # slow to load: signals count before it
    from plateid.first_run import run_service, set_up_and_run  # noqa: PLC0415

    file = path or default_config()
    if not file.exists() and (path is None or is_service()):
        file = new_config()
        if not file.exists():
            web = WebConfig.model_validate({"host": host})
            set_up_and_run(file, supervisor, web, tell=click.echo)
            return
    run_service(file, supervisor)
