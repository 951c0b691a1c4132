"""`plateid models` on the command line."""

from pathlib import Path
from typing import Any

import click

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
UNIT = click.option("--service", default="plateid.service", show_default=True)
WATCH = click.option(
    "--watch",
    "watch_s",
    type=click.FloatRange(0, 3600),
    default=40.0,  # longer than WatchdogSec= of the unit
    show_default=True,
    help="Seconds that the service has to go on with the bundle.",
)


@models.command()
@click.argument("source", metavar="FILE|URL")
@SERVICE
@UNIT
@WATCH
def install(source: str, path: Path, service: str, watch_s: float) -> None:
    """Tests a signed bundle, and uses it from now on.

    Its signature is at the same place, with .sig behind the name. Whatever fails, the signature,
    the test or the service, the bundle of before stays or comes back.
    """
    from plateid.bundles.install import Box, install_bundle  # noqa: PLC0415 - as above
    from plateid.service.systemd import Unit  # noqa: PLC0415 - as above

    install_bundle(source, Box(path, Unit(service), watch_s))


@models.command()
@SERVICE
@UNIT
@WATCH
def rollback(path: Path, service: str, watch_s: float) -> None:
    """Uses the bundle of before the last install again."""
    from plateid.bundles.install import Box, rollback_bundle  # noqa: PLC0415 - as above
    from plateid.service.systemd import Unit  # noqa: PLC0415 - as above

    rollback_bundle(Box(path, Unit(service), watch_s))


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

    pack_bundle(bundle, golden, key=key, out=out)
