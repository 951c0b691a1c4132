"""Finds the GPU and the TensorRT version through the libraries that run the networks."""

import ctypes
import re
from pathlib import Path

import onnxruntime as ort

from plateid.errors import ModelError, os_errors_as

CUDA_DRIVER = "libcuda.so.1"
PROVIDER_LIBRARY = Path(ort.__file__).parent / "capi" / "libonnxruntime_providers_tensorrt.so"
COMPUTE_CAPABILITY_MAJOR = 75
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR of cuda.h; the minor version is the next one."""


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
