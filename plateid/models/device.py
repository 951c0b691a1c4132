"""Which GPU and which TensorRT are here, asked of the libraries that would run a network."""

import ctypes
import re
from dataclasses import dataclass
from pathlib import Path

import onnxruntime as ort

from plateid.errors import ModelError

CUDA_DRIVER = "libcuda.so.1"
PROVIDER_LIBRARY = Path(ort.__file__).parent / "capi" / "libonnxruntime_providers_tensorrt.so"
COMPUTE_CAPABILITY_MAJOR = 75
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR of cuda.h; the minor one follows it."""
FIRST_LONG_VERSION = 10_000
"""TensorRT up to 9 counts 1000 major + 100 minor + patch; from 10 on, 10000 major and so on."""


@dataclass(frozen=True)
class Device:
    """All that an engine is bound to besides its network.

    Attributes:
        gpu: Name, as the driver gives it.
        capability: Compute capability of the GPU, major and minor.
        tensorrt: Version of the library, as in 10.3.0.
        onnxruntime: Version; it cuts the network into the parts that become engines.
    """

    gpu: str
    capability: tuple[int, int]
    tensorrt: str
    onnxruntime: str = ort.__version__

    @property
    def key(self) -> str:
        """Name of a folder, as in orin-sm87-trt10.3.0-ort1.22.0."""
        gpu = re.sub(r"[^a-z0-9]+", "-", self.gpu.lower()).strip("-")
        major, minor = self.capability
        return f"{gpu}-sm{major}{minor}-trt{self.tensorrt}-ort{self.onnxruntime}"


def find_device(driver: str = CUDA_DRIVER, provider: Path = PROVIDER_LIBRARY) -> Device:
    """The first GPU, and the TensorRT that ONNX Runtime uses.

    Both are asked of the libraries that run the network in any case; nvidia-smi and TensorRT's
    Python module need not be there.

    Raises:
        ModelError: There is none, or it cannot be asked.
    """
    gpu, capability = _gpu(driver)
    library = _tensorrt_library(provider)
    try:
        number = _loaded(library).getInferLibVersion()
    except AttributeError as error:
        raise ModelError(library, "does not tell its version") from error
    return Device(gpu, capability, tensorrt_version(number))


def tensorrt_version(number: int) -> str:
    """What getInferLibVersion() returns, as in 10.3.0."""
    step = 10_000 if number >= FIRST_LONG_VERSION else 1_000
    return f"{number // step}.{number % step // 100}.{number % 100}"


def _gpu(driver: str) -> tuple[str, tuple[int, int]]:
    """Name and compute capability of the first GPU, by the CUDA driver's own interface."""
    cuda = _loaded(driver)
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(256)
    try:
        codes = [
            cuda.cuInit(0),
            cuda.cuDeviceGet(ctypes.byref(device), 0),
            cuda.cuDeviceGetName(name, len(name), device),
            cuda.cuDeviceGetAttribute(ctypes.byref(major), COMPUTE_CAPABILITY_MAJOR, device),
            cuda.cuDeviceGetAttribute(ctypes.byref(minor), COMPUTE_CAPABILITY_MAJOR + 1, device),
        ]
    except AttributeError as error:
        raise ModelError(driver, f"is no CUDA driver: {error}") from error
    if failed := next((code for code in codes if code), 0):
        raise ModelError(driver, f"no GPU answers (CUDA error {failed})")
    return name.value.decode(errors="replace"), (major.value, minor.value)


def _tensorrt_library(provider: Path) -> str:
    """The file name of the TensorRT that ONNX Runtime's provider is linked with."""
    try:
        names = re.search(rb"\0(libnvinfer\.so\.\d+)\0", provider.read_bytes())
    except OSError as error:
        raise ModelError(provider, error.strerror) from error
    if names is None:
        raise ModelError(provider, "does not say which libnvinfer it needs")
    return names[1].decode()


def _loaded(library: str) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(library)
    except OSError as error:
        raise ModelError(library, f"cannot be loaded: {error}") from error
