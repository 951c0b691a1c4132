"""`plateid models`: lists, verifies, installs and packs bundles, and builds TensorRT engines."""

import functools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from plateid.bundles.backend_choice import (
    BY_ACCURACY,
    load_all,
    load_networks,
    measured,
    usable_backends,
)
from plateid.bundles.install import InstallTarget, install_bundle, pack_bundle, rollback_bundle
from plateid.bundles.installed_bundles import InstalledBundles
from plateid.bundles.measure import CPU, Measurement
from plateid.commands.options import CONFIG
from plateid.commands.progress_report import ProgressReport
from plateid.config.load import default_config, load_config
from plateid.config.models import (
    AUTO_BUNDLE,
    DEFAULT_BUNDLE,
    SHIPPED,
    ModelsConfig,
    bundle_path,
    shipped_bundles,
)
from plateid.core.option_types import FilePath, not_empty
from plateid.core.text import CHARSET
from plateid.core.wording import counted
from plateid.errors import BundleError, os_errors_as
from plateid.models.bundle import BundleSpec, read_spec
from plateid.models.networks import Networks
from plateid.models.tensorrt import CACHE_PATH
from plateid.service.systemd import Unit

UNIT = "plateid.service"
RUNS = 20
"""Inferences whose median time is printed."""
METRICS = {"detected": "_recall", "read": "_folded"}
"""The listed metrics of a bundle, by the ending of their names; its model card has all."""

OPTIONAL_CONFIG = click.option(
    "-c",
    "--config",
    "path",
    type=FilePath(),
    default=lambda: default_config() if default_config().exists() else None,
    show_default="plateid.toml in the current directory, else /etc/plateid/plateid.toml, if any",
    help="Configuration file; its [models] section counts.",
)
BUNDLE = click.argument("bundle", required=False, callback=not_empty, metavar="[NAME|DIRECTORY]")


@click.group(epilog="Example: plateid models list")
def models() -> None:
    """List, verify and install model bundles, and build TensorRT engines."""


def models_config(bundle: str | None, path: Path | None) -> ModelsConfig:
    """Returns the `[models]` section of a file, or the defaults with another bundle."""
    if bundle is not None or path is None:
        return ModelsConfig(bundle=Path(bundle_path(bundle or DEFAULT_BUNDLE)))
    return load_config(path).models.model_copy(update={"reader": "bundle"})


@models.command("list", epilog="Example: plateid models list")
@OPTIONAL_CONFIG
def list_(path: Path | None) -> None:
    """List the shipped bundles, the installed ones, and that of the configuration."""
    config = load_config(path).models if path else None
    installed = InstalledBundles((config or ModelsConfig()).installed)
    folders = [*(SHIPPED / name for name in shipped_bundles()), *installed.bundles]
    if config is not None and config.bundle not in (*folders, AUTO_BUNDLE):
        folders.append(config.bundle)
    for folder in folders:
        spec = read_spec(folder)
        name = folder.name if folder.parent == SHIPPED else str(folder)
        configured = " (configured)" if config is not None and folder == config.bundle else ""
        click.echo(f"{name}{_role(folder, installed)}{configured}")
        _describe(folder, spec)


def _role(folder: Path, installed: InstalledBundles) -> str:
    if not installed.bundles:
        return ""
    return {installed.previous: " (previous)", installed.active: " (active)"}.get(folder, "")


def _describe(folder: Path, spec: BundleSpec) -> None:
    click.echo(f"  bundle    {spec.name}, {spec.licence}")
    for kind, network in (("detector", spec.detector), ("reader", spec.reader)):
        path, size = folder / network.file, f"{network.width}x{network.height}"
        with os_errors_as(BundleError, path):
            size_mb = path.stat().st_size / 1e6
        click.echo(f"  {kind:9} {network.name:27} {size:8} {network.precision:8} {size_mb:.1f} MB")
    for word, suffix in METRICS.items():
        if shares := ", ".join(_shares(spec.metrics, suffix)):
            click.echo(f"  {word:9} {shares}")


def _shares(metrics: Mapping[str, float], suffix: str) -> Iterator[str]:
    for name, share in metrics.items():
        source = name.removesuffix(suffix)
        if source not in (name, f"{source.removesuffix('_crops')}_crops"):
            yield f"{source} {share:.1%}"


@models.command(epilog="Example: plateid models verify default")
@BUNDLE
@OPTIONAL_CONFIG
def verify(bundle: str | None, path: Path | None) -> None:
    """Check a bundle's hashes, load it, and run both networks once."""
    config = models_config(bundle, path)
    networks = load_networks(config)
    detector_ms, reader_ms = networks.self_test()
    names = networks.names
    click.echo(
        f"ok    {names.bundle}  {names.detector} {detector_ms:.1f} ms, {names.reader} "
        f"{reader_ms:.1f} ms on {networks.backend}  {config.bundle}"
    )


@models.command("build-engine", epilog="Example: plateid models build-engine accurate")
@BUNDLE
@OPTIONAL_CONFIG
def build_engine(bundle: str | None, path: Path | None) -> None:
    """Build a bundle's TensorRT engines on this device and check their numerical parity."""
    config = models_config(bundle, path)
    if config.bundle == AUTO_BUNDLE:  # the others are INT8 networks, for CPUs
        config = config.model_copy(update={"bundle": SHIPPED / BY_ACCURACY[0]})
    build_engines(config)


def build_engines(config: ModelsConfig, provider: str = "tensorrt") -> None:
    """Builds a bundle's engines and compares what they find and read with the CPU.

    Raises BundleError if the bundle cannot be used, or not on this provider, and ModelError if the
    provider is not available, does not run the networks, or differs.
    """
    Networks(config.model_copy(update={"provider": CPU})).self_test()  # before minutes of building
    networks = load_networks(config.model_copy(update={"provider": provider}))
    names = (networks.spec.detector.name, networks.spec.reader.name)
    sessions = (networks.detector_session, networks.reader_session)
    for name, session, ms in zip(names, sessions, networks.self_test(runs=RUNS), strict=True):
        cache = session.session_options.options.get(CACHE_PATH, "not kept")
        ready = f"ready in {session.start_s:.1f} s  {ms:.2f} ms an inference"
        click.echo(f"{name}  {ready}  {cache}")
    click.echo(f"compared with the CPU: {networks.reason}")


@models.command("measure", epilog="Example: plateid models measure accurate")
@BUNDLE
@OPTIONAL_CONFIG
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def measure_(bundle: str | None, path: Path | None, *, as_json: bool) -> None:
    """Measure all backends of this device with a bundle.

    Compares each with the CPU: boxes must have an IoU of 0.9, and 99.5 % of the texts must be the
    same. provider = "auto" uses the fastest that passes, from the cache that this command renews.
    """
    config = load_config(path).models if path and bundle is None else models_config(bundle, path)
    names = BY_ACCURACY if config.bundle == AUTO_BUNDLE else ()
    for folder in [SHIPPED / name for name in names] or [config.bundle]:
        _measure(config.model_copy(update={"bundle": folder}), as_json=as_json)


def _measure(config: ModelsConfig, *, as_json: bool) -> None:
    loaded, failures = load_all(config, usable_backends())
    spec = loaded[CPU].spec
    with ProgressReport() as progress:
        show = functools.partial(progress.show, "comparing images")
        found = measured(loaded, again=True, progress=show)
    found += [Measurement(backend=name, failure=reason) for name, reason in failures.items()]
    if as_json:
        for each in found:
            click.echo(json.dumps({"bundle": spec.name, **each.model_dump()}))
        return
    click.echo(f"{'network':29} {'backend':20} {'ms':>8}  parity")
    for each in found:
        times = {spec.detector.name: each.detector_ms, spec.reader.name: each.reader_ms}
        for name, ms in times.items():
            shown = "-" if each.failure else f"{ms:.2f}"
            click.echo(f"{name:29} {each.backend:20} {shown:>8}  {each.failure or each.parity}")


@models.command(epilog="Example: plateid models install https://example.org/bundle.tar")
@click.argument("source", metavar="FILE|URL")
@CONFIG
@click.option("--allow-downgrade", is_flag=True, help="Accept a bundle older than the newest one.")
def install(source: str, path: Path, *, allow_downgrade: bool) -> None:
    """Test a signed bundle and use it from now on.

    The signature is beside the archive, with .sig appended to its name. A service that runs with
    the configuration file tries the bundle first. If the signature, the test or the service fails,
    the previous bundle stays in use.
    """
    with ProgressReport() as progress:
        target = replace(_target(path, progress), allow_downgrade=allow_downgrade)
        install_bundle(source, target)


@models.command(epilog="Example: plateid models rollback")
@CONFIG
def rollback(path: Path) -> None:
    """Go back to the bundle that was in use before the last install."""
    with ProgressReport() as progress:
        rollback_bundle(_target(path, progress))


def _target(config: Path, progress: ProgressReport) -> InstallTarget:
    os.umask(0o022)  # the service runs as another user
    return InstallTarget(
        config,
        Unit(UNIT),
        report=lambda step, text: click.echo(f"{step:9} {text}"),
        progress=lambda done, total: progress.show("bytes", done, total),
    )


def to_golden(
    _context: click.Context, _parameter: click.Parameter, texts: Sequence[str]
) -> list[tuple[Path, str]]:
    """Splits golden images from their plates."""
    golden = []
    for text in texts:
        image, _, plate = text.rpartition("=")
        if not image or not plate or not set(plate) <= set(CHARSET):
            raise click.BadParameter(f"{text} is not IMAGE=PLATE, as in car.jpg=B68SPK")
        golden.append((Path(image), plate))
    return golden


@models.command(epilog="Example: plateid models pack my-bundle --key key.pem --out my-bundle.tar")
@click.argument("bundle", callback=not_empty, metavar="NAME|DIRECTORY")
@click.option("--key", type=FilePath(), required=True, help="Private key, PEM.")
@click.option("--out", type=FilePath(), required=True, help="Archive to write.")
@click.option(
    "--golden",
    multiple=True,
    callback=to_golden,
    metavar="IMAGE=PLATE",
    help="Image and plate that each device must read before it uses the bundle; "
    "repeatable, and required unless the bundle has some.",
)
@click.option(
    "--expires-days",
    type=click.IntRange(1, 3650),
    help="Days from now after which devices refuse to install the archive; default: never.",
)
def pack(
    bundle: str, *, key: Path, out: Path, golden: list[tuple[Path, str]], expires_days: int | None
) -> None:
    """Write a bundle's archive for `plateid models install`, and its signature beside it."""
    expires = datetime.now(UTC) + timedelta(days=expires_days) if expires_days else None
    folder = Path(bundle_path(bundle))
    count = pack_bundle(folder, golden, key=key, out=out, expires=expires)
    size_mb = out.stat().st_size / 1e6
    click.echo(f"{out}  {size_mb:.1f} MB, {counted(count, 'golden image')}")
