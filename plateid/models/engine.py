"""TensorRT engines: built on the device, cached by GPU, versions and the network's hash.

An engine runs only on the kind of GPU and the TensorRT that built it, so none is ever shipped.
"""

import os
from collections.abc import Callable
from pathlib import Path

import structlog

from plateid.errors import BundleError, ModelError
from plateid.models.bundle import NetworkSpec
from plateid.models.device import Device, find_device
from plateid.models.session import Placement, Session, check_provider

log = structlog.get_logger()

CACHE_PATH = "trt_engine_cache_path"
HASH_DIGITS = 16


def engine_session(path: Path, model: bytes, spec: NetworkSpec, *, cache: Path | None) -> Session:
    """A network on TensorRT, from the cache; its engine is built first where there is none.

    Args:
        path: Of the ONNX file, for error messages.
        model: Its bytes.
        spec: Its description; the hash was verified.
        cache: Folder of all engines; None: `default_cache()`.

    Raises:
        BundleError: TensorRT cannot run the network.
        ModelError: There is no TensorRT or GPU here, or the cache cannot be used.
    """
    check_provider(str(path), "tensorrt")
    folder = engine_folder(cache or default_cache(), find_device(), spec.sha256)
    _create(folder)
    if not _has_engine(folder):
        log.info(
            "building engine",
            network=spec.name,
            cache=str(folder),
            takes="minutes; plateid models build-engine does it beforehand",
        )
    options = engine_options(folder)
    placement = Placement("tensorrt", options=options, proved=True, one_by_one=True)
    session = _from_cache(folder, lambda: Session(str(path), model, placement))
    if not _has_engine(folder):
        raise ModelError(folder, "TensorRT left no engine in it; it would be built at each start")
    return session


def engine_folder(cache: Path, device: Device, sha256: str) -> Path:
    """Where the engines of one network for one device are."""
    return cache / device.key / sha256[:HASH_DIGITS]


def engine_options(folder: Path) -> dict[str, str]:
    """What ONNX Runtime's TensorRT provider is told.

    The times of tried kernels are shared by the networks of a device: later builds are faster.
    """
    return {
        "trt_fp16_enable": "True",
        "trt_engine_cache_enable": "True",
        CACHE_PATH: str(folder),
        "trt_engine_cache_prefix": "plateid",
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(folder.parent),
    }


def default_cache() -> Path:
    """The service's cache directory under systemd (CacheDirectory=), else the user's.

    Raises:
        ModelError: The user has no home directory.
    """
    if service := os.environ.get("CACHE_DIRECTORY"):
        return Path(service.split(":")[0]) / "engines"
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    except RuntimeError as error:
        raise ModelError(
            "models.engine_cache", "must be set: there is no home directory"
        ) from error
    return home / "plateid" / "engines"


def _from_cache(folder: Path, load: Callable[[], Session]) -> Session:
    """What `load` gives; ONNX Runtime never rebuilds an engine that a power cut cut off."""
    had = _has_engine(folder)
    try:
        return load()
    except BundleError as error:
        if not had:
            raise
        log.warning("engine refused, built again", cache=str(folder), reason=str(error))
        for file in folder.iterdir():
            file.unlink()
        return load()


def _create(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(folder, error.strerror) from error


def _has_engine(folder: Path) -> bool:
    return any(folder.glob("*.engine"))
