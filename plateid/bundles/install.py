"""`plateid models install`, `rollback` and `pack`: signed bundles, tried before they are used."""

import hashlib
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

import click
import tomlkit
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from plateid.bundles.archive import CARD, files_of, pack, unpack, write_synced
from plateid.bundles.download import Download, public_name
from plateid.bundles.golden import check_golden
from plateid.bundles.installed import Shelf
from plateid.bundles.signature import SUFFIX, check_signature, sign
from plateid.config.load import load_config
from plateid.config.models import ModelsConfig
from plateid.errors import BundleError
from plateid.models.bundle import Bundle, read_spec
from plateid.service.systemd import Unit

MAX_BYTES = 200_000_000
MAX_SIGNATURE_BYTES = 1000
NAME = re.compile(r"\w[\w.+-]{0,63}", re.ASCII)
HASH_DIGITS = 8


@dataclass(frozen=True)
class Box:
    """What a bundle is installed on.

    Attributes:
        config: File of the service's configuration.
        unit: The service, restarted when it runs with that file.
        watch_s: Seconds that it has to go on with another bundle.
    """

    config: Path
    unit: Unit
    watch_s: float


def install_bundle(source: str, box: Box) -> None:
    """Uses the bundle of an archive, if it is signed and sound; else all stays as it is.

    Raises:
        ConfigError: The configuration cannot be used.
        PlateidError: The archive cannot be had, is not signed by somebody who is trusted, or does
            not pass its test; the service does not run with it; or the disk is full.
    """
    models = _not_chosen(box.config)
    shelf = Shelf(models.installed)
    name = public_name(source) if "://" in source else source
    os.umask(0o022)  # the service is another user
    with shelf.changing() as folder:
        data, signature = _fetched(source, shelf.folder / "downloads")
        for part in (shelf.folder / "downloads").glob("*"):  # of others that broke off
            part.unlink()
        key = check_signature(name, data, signature, models.trusted_keys)
        click.echo(f"signed    {key.stem}")
        made = folder / "bundle"
        made.mkdir()
        unpack(name, data, made)
        images = check_golden(models.model_copy(update={"bundle": made}))
        click.echo(f"tested    {images} golden pictures read")
        _switch(shelf, shelf.add(made, _name(made, data)), box)


def rollback_bundle(box: Box) -> None:
    """Uses the bundle of before again.

    Raises:
        PlateidError: As `install_bundle`, or there is none.
    """
    shelf = Shelf(_not_chosen(box.config).installed)
    os.umask(0o022)
    with shelf.changing():
        if shelf.previous == shelf.active:
            raise BundleError(shelf.folder, "has no other bundle to go back to")
        _switch(shelf, shelf.previous, box)


def pack_bundle(folder: Path, golden: Sequence[tuple[Path, str]], *, key: Path, out: Path) -> None:
    """Writes the archive of a bundle, which has to pass its own test, and the signature beside it.

    Args:
        folder: Of the bundle; it stays as it is.
        golden: Pictures that are to be read on each device, and a plate of each; none: those that
            the bundle has.
        key: Private key.
        out: Archive; the signature's name is that and .sig.

    Raises:
        PlateidError: The bundle is not sound or reads a picture otherwise, or the key cannot be
            used, or nothing can be written.
    """
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary)
        _copy(folder, made)
        if golden:
            _set_golden(made, golden)
        images = check_golden(ModelsConfig(bundle=made))
        data = pack(made)
    signature = sign(data, key)
    write_synced(out, data)
    write_synced(_signature_of(out), signature)
    click.echo(f"{out}  {len(data) / 1e6:.1f} MB, {images} golden pictures")


def _not_chosen(config: Path) -> ModelsConfig:
    """The section of a configuration that leaves the choice of a bundle to what is installed."""
    models = load_config(config).models
    if "bundle" in tomlkit.parse(config.read_text("utf-8-sig")).get("models", {}):
        reason = "names a bundle; without this key, the installed one is used"
        raise BundleError(f"{config}: models.bundle", reason)
    return models


def _fetched(source: str, downloads: Path) -> tuple[bytes, bytes]:
    """The archive and its signature."""
    url = urlsplit(source) if "://" in source else None
    if url is None or url.scheme == "file":
        file = Path(url2pathname(url.path)) if url else Path(source)
        return _read(file), _read(_signature_of(file))
    if url.scheme not in {"http", "https"}:
        raise BundleError(public_name(source), "is no file, and no URL of http, https or file")
    signed = Download(
        urlunsplit(url._replace(path=f"{url.path}{SUFFIX}")), downloads, limit=MAX_SIGNATURE_BYTES
    )
    signature = signed.fetch()
    bar = Progress(
        *(BarColumn(), DownloadColumn(), TimeRemainingColumn()),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task("")
        data = Download(source, downloads, limit=MAX_BYTES).fetch(
            lambda done, total: bar.update(task, completed=done, total=total)
        )
    return data, signature


def _signature_of(archive: Path) -> Path:
    return archive.with_name(archive.name + SUFFIX)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise BundleError(file, error.strerror) from error
    if len(data) > MAX_BYTES:
        raise BundleError(file, f"is larger than {MAX_BYTES:,} bytes")
    return data


def _name(folder: Path, data: bytes) -> str:
    """Of its folder: for people, and the same for the same bytes only."""
    name = read_spec(folder).name
    if not NAME.fullmatch(name):
        raise BundleError("bundle.toml: name", f"{name!r} is no name for a folder")
    return f"{name}-{hashlib.sha256(data).hexdigest()[:HASH_DIGITS]}"


def _switch(shelf: Shelf, bundle: Path, box: Box) -> None:
    before = shelf.active
    if bundle == before:
        click.echo(f"in use    {bundle.name}, as before")
        return
    if is_tried := box.unit.runs(box.config):
        _try(shelf, bundle, box)
        click.echo(f"tried     {box.unit.name} runs with it")
    else:
        shelf.activate(bundle)
    click.echo(f"in use    {bundle.name}; before: {before.name}")
    if not is_tried:
        click.echo(f"not tried {box.unit.name} does not run with {box.config}")


def _try(shelf: Shelf, bundle: Path, box: Box) -> None:
    """Uses a bundle when the service has run with it for a while, and the one before if not."""

    def go_back() -> None:
        box.unit.restart()
        click.echo(f"returned  {shelf.active.name} is in use again")

    with _signals_noted() as noted, ExitStack() as undo:
        undo.callback(go_back)
        with shelf.trial(bundle):
            box.unit.restart()
            box.unit.watch(box.watch_s, unless=noted)
            shelf.activate(bundle)
        undo.pop_all()


@contextmanager
def _signals_noted() -> Iterator[list[int]]:
    """Whoever ends this process meanwhile has to wait: what has begun is taken back first."""
    noted: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda n, _: noted.append(n)) for number in numbers}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _copy(folder: Path, made: Path) -> None:
    names = files_of(Bundle(folder).spec)
    if (folder / CARD).exists():
        names.append(CARD)
    for name in names:
        write_synced(made / name, _read(folder / name))


def _set_golden(folder: Path, golden: Sequence[tuple[Path, str]]) -> None:
    """Replaces the golden pictures of a bundle, in its folder and its `bundle.toml`."""
    tables = tomlkit.aot()
    for number, (image, plate) in enumerate(golden, 1):
        data = _read(image)
        file = f"golden/{number}{image.suffix}"
        write_synced(folder / file, data)
        entry = {"file": file, "sha256": hashlib.sha256(data).hexdigest(), "plates": [plate]}
        tables.append(tomlkit.item(entry))
    path = folder / "bundle.toml"
    table = tomlkit.parse(path.read_text())
    table["golden"] = tables
    path.write_text(tomlkit.dumps(table))
