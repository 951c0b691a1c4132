"""The command line."""

import faulthandler
import functools
import io
import math
import signal
import sys
from pathlib import Path
from typing import Any

import click

from plateid import __version__
from plateid.config import DEFAULT_BUNDLE, ModelsConfig, bundle_path, load_config, load_formats
from plateid.errors import ConfigError, PlateidError
from plateid.service.logs import configure_logs
from plateid.service.supervisor import Supervisor

CONFIG = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=Path("plateid.toml"),
    show_default=True,
    help="Configuration file.",
)


def to_bundle(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Any:
    """The directory of a bundle that is given by its name or its path."""
    return None if text is None else Path(bundle_path(text))


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
        except ConfigError as error:
            click.echo(error, err=True)
            sys.exit(2)
        except PlateidError as error:
            click.echo(error, err=True)
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
    from plateid.read import ReadCommand, ReadOptions  # noqa: PLC0415 - networks load slowly

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
    App(load(), supervisor, load=load).run()


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
    from plateid.check import run_checks  # noqa: PLC0415 - as above

    sys.exit(0 if run_checks(path) else 1)


@main.command()
@click.option("--clip", type=click.Path(path_type=Path), help="Clip to use instead of the demo's.")
@BUNDLE
def bench(clip: Path | None, bundle: Path) -> None:
    """Measures this machine: the time of each stage of a frame."""
    from plateid.bench import run_bench  # noqa: PLC0415 - as above

    run_bench(clip, bundle)


@main.group()
def models() -> None:
    """Lists and verifies model bundles, and builds TensorRT engines."""


OF_CONFIG = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    help="Use the [models] section of a configuration file.",
)
OF_BUNDLE = click.argument("bundle", callback=to_bundle, required=False)


def models_config(bundle: Path | None, path: Path | None) -> ModelsConfig:
    """The section of a configuration, or defaults with another bundle; its own reader reads."""
    if path is None:
        return ModelsConfig(bundle=bundle or DEFAULT_BUNDLE)
    if bundle is not None:
        raise click.UsageError("give BUNDLE or --config, not both")
    return load_config(path).models.model_copy(update={"reader": "bundle"})


@models.command("list")
@OF_CONFIG
def list_(path: Path | None) -> None:
    """Prints the bundles that ship with plateid, and that of a configuration."""
    from plateid.bundles import list_bundles  # noqa: PLC0415 - as above

    list_bundles(load_config(path).models if path else None)


@models.command()
@OF_BUNDLE
@OF_CONFIG
def verify(bundle: Path | None, path: Path | None) -> None:
    """Checks a bundle's hashes, loads it, and lets both networks answer."""
    from plateid.bundles import verify_bundle  # noqa: PLC0415 - as above

    verify_bundle(models_config(bundle, path))


@models.command("build-engine")
@OF_BUNDLE
@OF_CONFIG
def build_engine(bundle: Path | None, path: Path | None) -> None:
    """Builds a bundle's TensorRT engines on this device, and compares them with the CPU."""
    from plateid.bundles import build_engines  # noqa: PLC0415 - as above

    build_engines(models_config(bundle, path))
