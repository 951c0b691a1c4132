"""`plateid models` on the command line."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TimeRemainingColumn

from plateid.config.load import load_config
from plateid.config.models import DEFAULT_BUNDLE, ModelsConfig, bundle_path
from plateid.core.text import CHARSET


def to_bundle(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Any:
    """The directory of a bundle that is given by its name or its path."""
    return None if text is None else Path(bundle_path(text))


@click.group()
def models() -> None:
    """Lists, verifies and installs model bundles, and builds TensorRT engines."""


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
    """Prints the bundles that ship, those installed, and that of a configuration."""
    from plateid.commands.bundle_listing import list_bundles  # noqa: PLC0415 - networks load slowly

    list_bundles(load_config(path).models if path else None)


@models.command()
@OF_BUNDLE
@OF_CONFIG
def verify(bundle: Path | None, path: Path | None) -> None:
    """Checks a bundle's hashes, loads it, and lets both networks answer."""
    from plateid.commands.bundle_listing import verify_bundle  # noqa: PLC0415 - as above

    verify_bundle(models_config(bundle, path))


@models.command("build-engine")
@OF_BUNDLE
@OF_CONFIG
def build_engine(bundle: Path | None, path: Path | None) -> None:
    """Builds a bundle's TensorRT engines on this device, and compares them with the CPU."""
    from plateid.commands.bundle_listing import build_engines  # noqa: PLC0415 - as above

    build_engines(models_config(bundle, path))


SERVICE = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=Path("/etc/plateid/plateid.toml"),
    show_default=True,
    help="Configuration file; a service that runs with it tries the bundle first.",
)
UNIT = "plateid.service"


def install_target(config: Path) -> Any:
    """Returns the target of `install` and `rollback`, which reports on the terminal."""
    from plateid.bundles.install import InstallTarget  # noqa: PLC0415 - as above
    from plateid.service.systemd import Unit  # noqa: PLC0415 - as above

    return InstallTarget(config, Unit(UNIT), lambda step, text: click.echo(f"{step:9} {text}"))


@models.command()
@click.argument("source", metavar="FILE|URL")
@SERVICE
def install(source: str, path: Path) -> None:
    """Tests a signed bundle, and uses it from now on.

    The signature is beside the archive, with .sig appended to its name. If the signature, the test
    or the service fails, the previous bundle stays in use.
    """
    from plateid.bundles.install import install_bundle  # noqa: PLC0415 - as above

    with DownloadBar() as bar:
        install_bundle(source, replace(install_target(path), progress=bar.update))


class DownloadBar:
    """A progress bar on the terminal, shown while a download runs."""

    def __init__(self) -> None:
        """Shows nothing yet."""
        columns = BarColumn(), DownloadColumn(), TimeRemainingColumn()
        self._bar = Progress(
            *columns,
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        """Returns the bar."""
        return self

    def __exit__(self, *_: object) -> None:
        """Removes the bar."""
        self._bar.stop()

    def update(self, done: int, total: int | None) -> None:
        """Shows the bytes received."""
        if self._task is None:
            self._task = self._bar.add_task("")
            self._bar.start()
        self._bar.update(self._task, completed=done, total=total)
        if done == total:
            self._bar.stop()


@models.command()
@SERVICE
def rollback(path: Path) -> None:
    """Goes back to the bundle that was in use before the last install."""
    from plateid.bundles.install import rollback_bundle  # noqa: PLC0415 - as above

    rollback_bundle(install_target(path))


def to_golden(
    _context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]
) -> list[tuple[Path, str]]:
    """Pictures and their plates."""
    pairs = [text.rpartition("=") for text in texts]
    for image, _, plate in pairs:
        if not image or not plate or not set(plate) <= set(CHARSET):
            raise click.BadParameter(f"{image}={plate} is not PICTURE=PLATE")
    return [(Path(image), plate) for image, _, plate in pairs]


@models.command("pack")
@click.argument("bundle", callback=to_bundle)
@click.option("--key", type=click.Path(path_type=Path), required=True, help="Private key, PEM.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Archive to write.")
@click.option(
    "--golden",
    multiple=True,
    callback=to_golden,
    metavar="PICTURE=PLATE",
    help="A picture that has to be read wherever the bundle is installed; may be repeated.",
)
def pack_(bundle: Path, *, key: Path, out: Path, golden: list[tuple[Path, str]]) -> None:
    """Makes an archive of a bundle for `install`, and its signature beside it."""
    from plateid.bundles.install import pack_bundle  # noqa: PLC0415 - as above

    count = pack_bundle(bundle, golden, key=key, out=out)
    click.echo(
        f"{out}  {out.stat().st_size / 1e6:.1f} MB, {count} golden image{'s' * (count != 1)}"
    )
