"""Chooses the backend that runs a bundle on this device, from measurements that it caches."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import structlog

from plateid import __version__
from plateid.bundles.measure import CPU, Measurement, Progress, measure
from plateid.config.models import AUTO_BUNDLE, SHIPPED, ModelsConfig
from plateid.config.section import Section
from plateid.errors import ModelError, PlateidError, reason_of
from plateid.files import read_file, write_whole
from plateid.models.networks import Networks
from plateid.models.onnx_backend import onnx_backends
from plateid.models.openvino_backend import openvino_backends
from plateid.models.tensorrt import default_cache

log = structlog.get_logger()

AUTO = "auto"
"""Value of `models.provider` that chooses."""
MIN_GAIN = 0.1
"""Share of the CPU's time (0-1) that another backend must save to be chosen."""
BY_ACCURACY = ("accurate", "default", "small")
"""The shipped bundles, the most accurate first."""
MAX_LOAD, RUNS = 0.7, 20
"""Share of the workers' time (0-1) that the networks may take, the rest is for decoding; and number
of inferences of which the median is that time."""
MAX_CACHE_BYTES = 100_000
"""Largest file of measurements; one has about 3,000."""
CPUINFO = Path("/proc/cpuinfo")
CPU_LINES = re.compile(r"^(?:model name|Model|CPU part|flags|Features)\s*:.*$", re.MULTILINE)
"""Lines of the kernel's description that tell one kind of processor from another."""


class Cached(Section):
    """A file of measurements, which hold for the networks, processor and versions of `key`."""

    key: dict[str, str]
    measured: tuple[Measurement, ...]


def usable_backends() -> dict[str, str]:
    """Returns the backends whose software is installed, the CPU first, with their versions."""
    return onnx_backends() | openvino_backends()


def load_networks(
    config: ModelsConfig,
    frames_per_second: Callable[[], float] = lambda: 0.0,
    progress: Progress = lambda *_: None,
) -> Networks:
    """Loads a bundle on the configured backend, or with `auto` on the fastest that proves itself.

    If the bundle is `auto`, calls `frames_per_second`, which returns those of all cameras. Calls
    `progress` while it measures, which takes minutes on a slow device. Raises
    BundleError if the bundle cannot be used, and ModelError if the configured backend is missing,
    computes elsewhere, or does not compute what the CPU does.
    """
    if config.bundle == AUTO_BUNDLE:
        return _most_accurate(config, frames_per_second(), progress)
    if config.provider == CPU:
        return Networks(config)
    if config.provider == AUTO:
        loaded, failures = load_all(config, usable_backends())
    else:
        loaded, failures = {name: _load(config, name) for name in (CPU, config.provider)}, {}
    found = [Measurement(backend=CPU)]
    if len(loaded) > 1:
        found = measured(loaded, progress=progress)
    failures |= {each.backend: each.failure for each in found if each.failure}
    if config.provider in failures:
        raise ModelError(config.provider, failures[config.provider])
    usable = [each for each in found if each.backend not in failures]
    wanted = [each for each in usable if config.provider in (AUTO, each.backend)]
    best = min(wanted, key=lambda each: each.ms * (1 - MIN_GAIN if each.backend == CPU else 1))
    networks = loaded[best.backend]
    times = ", ".join(f"{each.backend} {each.ms:.1f} ms" for each in usable)
    refused = [f"not {backend}: {reason}" for backend, reason in failures.items()]
    networks.reason = "; ".join([times if len(loaded) > 1 else "no other is usable", *refused])
    log.info("backend chosen", backend=best.backend, reason=networks.reason)
    return networks


def _most_accurate(config: ModelsConfig, frames_per_second: float, progress: Progress) -> Networks:
    usable: list[tuple[Networks, float]] = []
    for name in BY_ACCURACY:
        bundle = config.model_copy(update={"bundle": SHIPPED / name})
        try:
            networks = load_networks(bundle, progress=progress)
        except ModelError as error:  # not on this backend: a named one never falls back
            if not usable and name == BY_ACCURACY[-1]:
                raise
            log.warning("bundle cannot be used", bundle=name, reason=str(error))
            continue
        usable.append((networks, sum(networks.self_test(runs=RUNS))))
        if usable[-1][1] * frames_per_second <= MAX_LOAD * 1000 * config.workers:
            break
    networks, ms = usable[-1]
    name = networks.config.bundle.name
    log.info("bundle chosen", bundle=name, frames_per_second=round(frames_per_second), ms=round(ms))
    return networks


def load_all(
    config: ModelsConfig, backends: Iterable[str]
) -> tuple[dict[str, Networks], dict[str, str]]:
    """Returns the networks on each backend, and why the other backends cannot load them.

    Raises PlateidError if the CPU cannot.
    """
    loaded, failures = dict[str, Networks](), dict[str, str]()
    for backend in backends:
        try:
            loaded[backend] = _load(config, backend)
        except PlateidError as error:
            if backend == CPU:
                raise
            failures[backend] = str(error)
    return loaded, failures


def _load(config: ModelsConfig, backend: str) -> Networks:
    return Networks(config.model_copy(update={"provider": backend}))


def measured(
    loaded: Mapping[str, Networks], *, again: bool = False, progress: Progress = lambda *_: None
) -> list[Measurement]:
    """Returns the measurements of backends, the CPU first, from the cache unless `again` is set."""
    key = _key(loaded)
    name = f"backends-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]}.json"
    file = (loaded[CPU].config.engine_cache or default_cache()) / name
    if not again and (known := _read(file, key)):
        return known
    log.info("measuring backends", backends=key["backends"], takes="up to a minute")
    found = measure(loaded, progress)
    if not all(each.parity for each in found):  # a failed inference may be an accident
        return found
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        cached = Cached(key=key, measured=tuple(found))
        write_whole(file, cached.model_dump_json().encode(), synced=True)
    except OSError as error:
        log.warning("measurements are not kept", file=str(file), reason=error.strerror)
    return found


def _key(loaded: Mapping[str, Networks]) -> dict[str, str]:
    """Returns what the measurements hold for."""
    networks, usable = loaded[CPU], usable_backends()
    return {
        "backends": ", ".join(loaded),
        "detector": networks.spec.detector.sha256,
        "reader": networks.spec.reader.sha256,
        "processor": " ".join(sorted(set(CPU_LINES.findall(CPUINFO.read_text())))),
        "threads": str(networks.config.threads),
        "versions": f"plateid {__version__}, {', '.join(usable.values())}",
    }


def _read(file: Path, key: Mapping[str, str]) -> list[Measurement] | None:
    """Returns cached measurements; None if there are none, or the file is damaged."""
    try:
        cached = Cached.model_validate_json(read_file(file, limit_bytes=MAX_CACHE_BYTES))
        if (cached.key, ", ".join(m.backend for m in cached.measured)) == (key, key["backends"]):
            return list(cached.measured)
        reason = "it is of other backends"
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = " ".join(reason_of(error).split())
    log.warning("measurements are damaged", file=str(file), reason=reason)
    return None
