"""TensorRT engines: built on the device, cached by GPU, library versions and the network's hash.

An engine runs only on the GPU model and TensorRT version that built it, so none is shipped.
"""

import os
from collections.abc import Callable
from pathlib import Path

import structlog

from plateid.errors import BundleError, ModelError, os_errors_as
from plateid.models.bundle import NetworkSpec
from plateid.models.gpu import engine_key
from plateid.models.session import NetworkSession, SessionOptions, check_available

log = structlog.get_logger()

CACHE_PATH = "trt_engine_cache_path"
"""ONNX Runtime's option for the engine cache folder."""
HASH_DIGITS = 16
"""Hexadecimal digits of the network's SHA-256 in the folder name."""


def tensorrt_session(
    path: Path, model: bytes, spec: NetworkSpec, *, cache: Path | None
) -> NetworkSession:
    """Loads a network on TensorRT from the cache; builds its engine first if it is missing.

    `cache` is the folder of all engines, by default `default_cache()`. Raises BundleError if
    TensorRT cannot run the network, and ModelError if TensorRT, a GPU or the cache is missing.
    """
    check_available(str(path), "tensorrt")
    folder = (cache or default_cache()) / engine_key() / spec.sha256[:HASH_DIGITS]
    with os_errors_as(ModelError, folder):
        folder.mkdir(parents=True, exist_ok=True)
    if not _has_engine(folder):
        log.info(
            "building engine",
            network=spec.name,
            cache=str(folder),
            takes="minutes; plateid models build-engine does it beforehand",
        )
    options = SessionOptions(
        "tensorrt", options=_engine_options(folder), verify_provider=True, batch_of_one=True
    )
    session = _from_cache(folder, lambda: NetworkSession(str(path), model, options))
    if not _has_engine(folder):
        raise ModelError(folder, "TensorRT stored no engine here; it would be built at each start")
    return session


def _engine_options(folder: Path) -> dict[str, str]:
    """Returns the options of ONNX Runtime's TensorRT provider.

    All networks of a GPU share a timing cache, which makes later builds faster.
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
    """Returns the service's cache directory (CacheDirectory= of systemd), else the user's."""
    if service := os.environ.get("CACHE_DIRECTORY"):
        return Path(service.split(":")[0]) / "engines"
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    except RuntimeError as error:
        reason = "must be set: there is no home directory"
        raise ModelError("models.engine_cache", reason) from error
    return home / "plateid" / "engines"


def _from_cache(folder: Path, load: Callable[[], NetworkSession]) -> NetworkSession:
    """Loads an engine, and builds it again if the cached one is damaged, as after a power cut."""
    had = _has_engine(folder)
    try:
        return load()
    except BundleError as error:
        if not had:
            raise
        log.warning("building refused engine again", cache=str(folder), reason=str(error))
        for file in folder.iterdir():
            file.unlink()
        return load()


def _has_engine(folder: Path) -> bool:
    return any(folder.glob("*.engine"))
