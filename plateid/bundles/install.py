"""Installs, rolls back and packs signed bundles; a running service tries a bundle first."""

import hashlib
import re
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

import tomlkit

from plateid.bundles.archive import files_of, pack, unpack, write_synced
from plateid.bundles.backend_choice import load_networks
from plateid.bundles.download import Progress, download, redacted_url
from plateid.bundles.installed_bundles import InstalledBundles
from plateid.bundles.signature import SUFFIX, check_signature, sign
from plateid.capture.images import decode_image
from plateid.config.load import load_config
from plateid.config.models import BUNDLE, ModelsConfig
from plateid.core.reading import read_detections
from plateid.core.records import rfc3339
from plateid.core.wording import counted
from plateid.errors import BundleError
from plateid.models.bundle import Bundle, BundleSpec, bundle_file, read_spec, verified
from plateid.service.systemd import Unit

MAX_BYTES = 200_000_000
"""Largest archive."""
MAX_SIGNATURE_BYTES = 1000
"""Largest accepted signature file, bytes; a signature has 64 bytes."""
TRIAL_S = 40.0
"""Duration of a trial: longer than WatchdogSec= of the unit, so that a hanging service fails it."""
NAME = re.compile(r"\w[\w.+-]{0,63}", re.ASCII)
"""Bundle names that can be folder names."""
HASH_DIGITS = 8
"""Hexadecimal digits of the archive's SHA-256 in the folder name."""


@dataclass(frozen=True)
class InstallTarget:
    """Where a bundle is installed.

    A `unit` that runs with the configuration tries the bundle, unless `use` does. `report` gets
    each step (a word) and its result, `progress` is called during a download.
    """

    config: Path
    unit: Unit
    report: Callable[[str, str], None]
    progress: Progress = lambda _done, _total: None
    allow_downgrade: bool = False
    use: Callable[[Path], None] | None = None


def install_bundle(source: str, target: InstallTarget) -> None:
    """Verifies, tests and activates the bundle of an archive; on any error nothing changes.

    `source` is its path or URL; its signature is beside it, with `.sig` appended. Raises
    PlateidError if it is not available, not signed by a trusted key, or fails its test, if the
    service does not run with it, or if the disk is full.
    """
    models = _models_without_bundle(target.config)
    installed = InstalledBundles(models.installed)
    name = redacted_url(source) if "://" in source else source
    with installed.changing() as folder:
        data, signature = fetch_archive(source, target.progress)
        key = check_signature(name, data, signature, models.trusted_keys)
        target.report("signed", key.stem)
        unpacked = folder / "bundle"
        unpacked.mkdir()
        unpack(name, data, unpacked)
        _check_version(name, read_spec(unpacked), installed, target)
        count = _check_golden_images(models.model_copy(update={"bundle": unpacked}))
        target.report("tested", f"{counted(count, 'golden image')} read")
        _switch(installed, installed.add(unpacked, _folder_name(unpacked, data)), target)


def rollback_bundle(target: InstallTarget) -> None:
    """Activates the previous bundle; raises BundleError if there is none."""
    installed = InstalledBundles(_models_without_bundle(target.config).installed)
    with installed.changing():
        if installed.previous == installed.active:
            raise BundleError(installed.folder, "has no other bundle to go back to")
        _switch(installed, installed.previous, target)


def pack_bundle(
    folder: Path,
    golden: Sequence[tuple[Path, str]],
    *,
    key: Path,
    out: Path,
    expires: datetime | None = None,
) -> int:
    """Tests a bundle, and writes its archive to `out` and the signature beside it.

    `golden` are the images that every device must read, with one plate of each; without them, the
    bundle keeps its own. No device installs the archive after `expires` (aware). Returns the number
    of golden images.
    """
    Bundle(folder)  # verifies it
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary)
        for name in files_of(folder):
            write_synced(copy / name, bundle_file(folder / name))
        _describe(copy, golden, expires)
        count = _check_golden_images(ModelsConfig(bundle=copy))
        data = pack(copy)
    signature = sign(data, key)
    write_synced(out, data)
    write_synced(out.with_name(out.name + SUFFIX), signature)
    return count


def _check_golden_images(config: ModelsConfig) -> int:
    """Reads a bundle's golden images on the configured execution provider; returns their number.

    Raises BundleError if it has none, or if a plate is not read.
    """
    networks = load_networks(config.model_copy(update={"reader": BUNDLE, "detector": BUNDLE}))
    networks.self_test()
    if not networks.spec.golden:
        raise BundleError(
            networks.spec.name, "has no golden images to test it: pack it with --golden"
        )
    for golden in networks.spec.golden:
        path = config.bundle / golden.file
        image = decode_image(verified(path, golden.sha256), path)
        found = read_detections(image, networks.detector().detect(image), networks.reader().read)
        texts = [plate.text for plate in found]
        if missing := [plate for plate in golden.plates if plate not in texts]:
            read = f"only {', '.join(texts)}" if texts else "nothing"
            subject = f"{networks.spec.name}: {golden.file}"
            raise BundleError(subject, f"{', '.join(missing)} is not read; {read}")
    return len(networks.spec.golden)


def _check_version(
    name: str, spec: BundleSpec, installed: InstalledBundles, target: InstallTarget
) -> None:
    """Refuses a replayed archive: one that is signed, but expired or older than before.

    Version and expiry are inside the signed archive, as in The Update Framework (specification,
    section 5.3: rollback and freeze attacks).
    """
    if spec.expires is not None and spec.expires.astimezone(UTC) < datetime.now(UTC):
        raise BundleError(name, f"expired at {rfc3339(spec.expires)}")
    newest = installed.newest_version
    if spec.version < newest and not target.allow_downgrade:
        reason = f"version {spec.version} is older than {newest}, which was in use"
        raise BundleError(name, f"{reason}; --allow-downgrade installs it")


def _models_without_bundle(config: Path) -> ModelsConfig:
    """Loads a configuration's [models]; refuses one that names a bundle."""
    models = load_config(config).models
    if "bundle" in tomlkit.parse(config.read_text("utf-8-sig")).get("models", {}):
        reason = "is set; delete this key to use the installed bundle"
        raise BundleError(f"{config}: models.bundle", reason)
    return models


def fetch_archive(source: str, progress: Progress = lambda *_: None) -> tuple[bytes, bytes]:
    """Returns the archive at a path or URL, and its signature; raises BundleError."""
    url = urlsplit(source) if "://" in source else None
    if url is None or url.scheme == "file":
        file = Path(url2pathname(url.path)) if url else Path(source)
        beside = file.with_name(file.name + SUFFIX)
        data = bundle_file(file, limit_bytes=MAX_BYTES)
        return data, bundle_file(beside, limit_bytes=MAX_SIGNATURE_BYTES)
    if url.scheme not in {"http", "https"}:
        raise BundleError(redacted_url(source), "is neither a file nor an http or https URL")
    signature_url = urlunsplit(url._replace(path=f"{url.path}{SUFFIX}"))
    signature = download(signature_url, limit_bytes=MAX_SIGNATURE_BYTES)
    return download(source, limit_bytes=MAX_BYTES, progress=progress), signature


def _folder_name(folder: Path, data: bytes) -> str:
    """Returns the bundle's name with a hash: the same name always means the same bytes."""
    name = read_spec(folder).name
    if not NAME.fullmatch(name):
        raise BundleError("bundle.toml: name", f"{name!r} cannot be a folder name")
    return f"{name}-{hashlib.sha256(data).hexdigest()[:HASH_DIGITS]}"


def _switch(installed: InstalledBundles, bundle: Path, target: InstallTarget) -> None:
    before = installed.active
    if bundle == before:
        target.report("in use", f"{bundle.name}, as before")
        return
    if target.use is not None:
        target.use(bundle)
        return
    if is_running := target.unit.runs(target.config):
        _try(installed, bundle, target)
        target.report("tried", f"{target.unit.name} runs with it")
    else:
        installed.activate(bundle)
    target.report("in use", f"{bundle.name}; before: {before.name}")
    if not is_running:
        target.report("not tried", f"{target.unit.name} does not run with {target.config}")


def _try(installed: InstalledBundles, bundle: Path, target: InstallTarget) -> None:
    """Activates a bundle after the service has run with it for `TRIAL_S`; else goes back."""

    def go_back() -> None:
        target.unit.restart()
        target.report("returned", f"{installed.active.name} is in use again")

    with _signals_deferred() as received, ExitStack() as undo:
        undo.callback(go_back)
        with installed.trial(bundle):
            target.unit.restart()
            target.unit.watch(TRIAL_S, unless=received)
            installed.activate(bundle)
        undo.pop_all()


@contextmanager
def _signals_deferred() -> Iterator[list[int]]:
    """Collects termination signals, so that a trial is undone before the process ends."""
    received: list[int] = []
    with ExitStack() as undo:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            handler = signal.signal(number, lambda n, _: received.append(n))
            undo.callback(signal.signal, number, handler)
        yield received


def _describe(folder: Path, golden: Sequence[tuple[Path, str]], expires: datetime | None) -> None:
    """Replaces golden images and sets version (by default the Unix time) and expiry of a bundle."""
    path = folder / "bundle.toml"
    table = tomlkit.parse(path.read_text())
    if golden:
        table["golden"] = tomlkit.aot()
    for number, (image, plate) in enumerate(golden, 1):
        data = bundle_file(image)
        file = f"golden/{number}{image.suffix}"
        write_synced(folder / file, data)
        entry = {"file": file, "sha256": hashlib.sha256(data).hexdigest(), "plates": [plate]}
        table["golden"].append(tomlkit.item(entry))
    if not table.get("version"):
        table["version"] = int(time.time())
    if expires is not None:
        table["expires"] = expires
    path.write_text(tomlkit.dumps(table))
