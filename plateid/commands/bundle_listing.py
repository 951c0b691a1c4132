"""`plateid models`: what bundles there are, whether they are sound, and engines for this device."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from plateid.bundles.installed_bundles import InstalledBundles
from plateid.capture.video_file import read_video
from plateid.config.models import DEFAULT_BUNDLE, SHIPPED, ModelsConfig, shipped_bundles
from plateid.core.records import LazyImage
from plateid.demo import CLIP
from plateid.errors import BundleError, ModelError
from plateid.models.bundle import BundleSpec, NetworkSpec, read_spec
from plateid.models.networks import Networks
from plateid.models.parity import check_parity
from plateid.models.session import NetworkSession
from plateid.models.tensorrt import CACHE_PATH

SHOWN_FRAME = 125
"""Of the demo's clip: two vehicles by day."""
RUNS = 20
SHOWN = {"found": "_recall", "read": "_folded"}
"""Figures of a bundle that are listed: of plates in pictures, by source; its model card has all."""


def list_bundles(config: ModelsConfig | None) -> None:
    """Prints the bundles that ship with plateid, those installed, and that of a configuration.

    Raises:
        BundleError: One of them cannot be described.
    """
    installed = InstalledBundles((config or ModelsConfig()).installed)
    folders = [*(SHIPPED / name for name in shipped_bundles()), *installed.bundles]
    if config is not None and config.bundle not in folders:
        folders.append(config.bundle)
    for folder in folders:
        spec = read_spec(folder)
        name = folder.name if folder.parent == SHIPPED else str(folder)
        default = " (default)" if folder == DEFAULT_BUNDLE else ""
        configured = " (configured)" if config is not None and folder == config.bundle else ""
        click.echo(f"{name}{default}{_place(folder, installed)}{configured}")
        _describe(folder, spec)


def _place(folder: Path, installed: InstalledBundles) -> str:
    if not installed.bundles:
        return ""
    return {installed.previous: " (before)", installed.active: " (active)"}.get(folder, "")


def verify_bundle(config: ModelsConfig) -> None:
    """Checks a bundle's hashes, loads it, lets both networks answer, and prints a line.

    Raises:
        BundleError: The bundle cannot be used.
        ModelError: A network does not answer.
    """
    networks = Networks(config)
    detector_ms, reader_ms = networks.self_test()
    names = networks.names
    click.echo(
        f"ok    {names.bundle}  {names.detector} {detector_ms:.1f} ms, {names.reader} "
        f"{reader_ms:.1f} ms on {config.provider}  {config.bundle}"
    )


def build_engines(config: ModelsConfig, provider: str = "tensorrt") -> None:
    """Builds a bundle's engines, proves them, and compares their answers with the CPU's.

    Args:
        config: Which bundle, and where the engines are kept; its provider is not looked at.
        provider: What is compared with the CPU.

    Raises:
        BundleError: The bundle cannot be used, or not on this provider.
        ModelError: The provider is not to be had, does not run the networks, or answers otherwise.
    """
    reference = Networks(config.model_copy(update={"provider": "cpu"}))
    reference.self_test()  # a bad bundle is found before minutes of building
    networks = Networks(config.model_copy(update={"provider": provider}))
    found = check_parity(_street(), networks, reference)
    times_ms = networks.self_test(runs=RUNS)
    names = (networks.spec.detector.name, networks.spec.reader.name)
    sessions = (networks.detector_session, networks.reader_session)
    for name, session, time_ms in zip(names, sessions, times_ms, strict=True):
        click.echo(_engine_line(name, session, time_ms))
    click.echo(
        f"as on the CPU: scores within {found.score:.3f}, boxes' IoU {found.iou:.2f} or more, "
        f"characters within {found.probability:.3f}"
    )


def _engine_line(name: str, session: NetworkSession, time_ms: float) -> str:
    cache = session.session_options.options.get(CACHE_PATH, "not kept")
    return f"{name}  ready in {session.start_s:.1f} s  {time_ms:.2f} ms an inference  {cache}"


def _describe(folder: Path, spec: BundleSpec) -> None:
    click.echo(f"  bundle    {spec.name}, {spec.licence}")
    for kind, network in (("detector", spec.detector), ("reader", spec.reader)):
        size = f"{network.width}x{network.height}"
        click.echo(
            f"  {kind:9} {network.name:22} {size:8} {network.precision:8} "
            f"{_megabytes(folder, network):.1f} MB"
        )
    for word, suffix in SHOWN.items():
        shares = ", ".join(_shares(spec.metrics, suffix))
        if shares:
            click.echo(f"  {word:9} {shares}")


def _shares(metrics: Mapping[str, float], suffix: str) -> Iterator[str]:
    for name, share in metrics.items():
        source = name.removesuffix(suffix)
        if source not in (name, f"{source.removesuffix('_crops')}_crops"):
            yield f"{source} {share:.1%}"


def _megabytes(folder: Path, network: NetworkSpec) -> float:
    path = folder / network.file
    try:
        return path.stat().st_size / 1e6
    except OSError as error:
        raise BundleError(path, error.strerror) from error


def _street() -> LazyImage:
    """A picture with plates that every device has."""
    for frame in read_video(CLIP):
        if frame.sequence == SHOWN_FRAME:
            return frame.image
    raise ModelError(CLIP, "is shorter than it was")
