"""TensorRT engines: built on the device, cached by GPU, library versions and the network's hash.

An engine runs only on the GPU model and TensorRT version that built it, so none is shipped.
"""

import ctypes
import os
import re
from collections.abc import Callable
from pathlib import Path

import onnxruntime as ort
import structlog

from plateid.errors import BundleError, ModelError, os_errors_as
from plateid.models.backend import SessionOptions
from plateid.models.bundle import NetworkSpec
from plateid.models.onnx_backend import check_available
from plateid.models.session import NetworkSession

log = structlog.get_logger()

CACHE_PATH = "trt_engine_cache_path"
"""ONNX Runtime's option for the engine cache folder."""
HASH_DIGITS = 16
"""Hexadecimal digits of the network's SHA-256 in the folder name."""

CUDA_DRIVER = "libcuda.so.1"
PROVIDER_LIBRARY = Path(ort.__file__).parent / "capi" / "libonnxruntime_providers_tensorrt.so"
COMPUTE_CAPABILITY_MAJOR = 75
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR of cuda.h; the minor version is the next one."""


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
    """Returns options of ONNX Runtime; a shared timing cache makes later builds faster."""
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


def engine_key(driver: str = CUDA_DRIVER, provider: Path = PROVIDER_LIBRARY) -> str:
    """Returns a folder name for what a TensorRT engine is bound to besides its network.

    It names the first GPU, its compute capability, TensorRT, and ONNX Runtime, which partitions the
    network: orin-sm87-trt100300-ort1.22.0. Needs neither nvidia-smi nor TensorRT's Python module.
    Raises ModelError without GPU or TensorRT.
    """
    gpu, capability = _gpu(driver)
    library = _tensorrt_library(provider)
    try:
        tensorrt = _loaded(library).getInferLibVersion()
    except AttributeError as error:
        raise ModelError(library, "does not report its version") from error
    name = re.sub(r"[^a-z0-9]+", "-", gpu.lower()).strip("-")
    return f"{name}-sm{capability}-trt{tensorrt}-ort{ort.__version__}"


def _gpu(driver: str) -> tuple[str, str]:
    cuda = _loaded(driver)
    gpu, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(256)
    try:
        codes = [
            cuda.cuInit(0),
            cuda.cuDeviceGet(ctypes.byref(gpu), 0),
            cuda.cuDeviceGetName(name, len(name), gpu),
            cuda.cuDeviceGetAttribute(ctypes.byref(major), COMPUTE_CAPABILITY_MAJOR, gpu),
            cuda.cuDeviceGetAttribute(ctypes.byref(minor), COMPUTE_CAPABILITY_MAJOR + 1, gpu),
        ]
    except AttributeError as error:
        raise ModelError(driver, f"is no CUDA driver: {error}") from error
    if failed := next((code for code in codes if code), 0):
        raise ModelError(driver, f"no GPU responds (CUDA error {failed})")
    return name.value.decode(errors="replace"), f"{major.value}{minor.value}"


def _tensorrt_library(provider: Path) -> str:
    """Returns the file name of the TensorRT library that ONNX Runtime's provider links."""
    with os_errors_as(ModelError, provider):
        names = re.search(rb"\0(libnvinfer\.so\.\d+)\0", provider.read_bytes())
    if names is None:
        raise ModelError(provider, "links no libnvinfer")
    return names[1].decode()


def _loaded(library: str) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(library)
    except OSError as error:
        raise ModelError(library, f"cannot be loaded: {error}") from error
