"""Runs a network with OpenVINO on one device in one precision, and falls back to no other.

A provider `openvino[:DEVICE][:PRECISION]` names both, such as `openvino:bf16` or `openvino:GPU`. By
default, it is the CPU in f32; other devices compute in f16.
"""

import functools
import io
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plateid.errors import BundleError, ModelError, needs_extra
from plateid.models.backend import Batch, Port, SessionOptions, one_line

PRECISIONS = {"f32": "FP32", "bf16": "BF16", "f16": "FP16"}
"""Precisions of inference, with OpenVINO's names of the devices' capabilities."""
NO_EXECUTABLE_MEMORY = "can't protect"
"""OpenVINO's message if systemd's MemoryDenyWriteExecute= keeps it from compiling kernels."""


class OpenVinoBackend:
    """A network that OpenVINO runs; thread-safe."""

    def __init__(self, name: str, model: bytes, session_options: SessionOptions) -> None:
        """Compiles the bytes of an ONNX file.

        Raises BundleError if OpenVINO cannot run the network, and ModelError if the package or the
        device is missing, or if the network runs on another device or in another precision.
        """
        self._name = name
        device, precision = device_of(session_options.provider)
        if device not in (devices := openvino_core().available_devices):
            found = ", ".join(devices) or "no device"
            raise ModelError(session_options.provider, f"OpenVINO finds no {device}, but {found}")
        try:
            network = openvino_core().read_model(io.BytesIO(model))
            if session_options.batch_of_one:
                shape = network.input().get_partial_shape()
                network.reshape([axis.get_length() if axis.is_static else 1 for axis in shape])
            options = _options(device, precision, session_options)
            self._compiled = openvino_core().compile_model(network, device, options)
            self.inputs = [_port(each) for each in self._compiled.inputs]
            self.outputs = [_port(each) for each in self._compiled.outputs]
            self.run(self.inputs[0].black())
            check_ran_on(name, self._compiled, device, precision)
        except RuntimeError as error:
            raise BundleError(name, _reason(error)) from error

    def run(self, batch: Batch) -> Sequence[NDArray[np.float32]]:
        """Returns the outputs for a batch; raises ModelError if that fails."""
        try:
            return list(self._compiled.create_infer_request().infer([batch]).values())
        except RuntimeError as error:
            raise ModelError(self._name, f"inference failed: {one_line(error)}") from error


def check_ran_on(name: str, compiled: Any, device: str, precision: str) -> None:
    """Raises ModelError unless this device runs the network in this precision."""
    used = compiled.get_property("EXECUTION_DEVICES")
    if any(each.partition(".")[0] != device.partition(".")[0] for each in used):
        raise ModelError(name, f"OpenVINO runs it on {', '.join(used)}, not on {device}")
    if (hint := compiled.get_property("INFERENCE_PRECISION_HINT").to_string()) != precision:
        raise ModelError(name, f"OpenVINO computes in {hint} on {device}, not in {precision}")


def device_of(provider: str) -> tuple[str, str]:
    """Returns the device, as OpenVINO names it, and the precision of a provider."""
    words = provider.split(":")[1:]
    device = next((word.upper() for word in words if word not in PRECISIONS), "CPU")
    precision = next((word for word in words if word in PRECISIONS), None)
    return device, precision or ("f32" if device == "CPU" else "f16")


@functools.cache
def openvino_core() -> Any:
    """Returns OpenVINO's core, which all networks share.

    Raises ModelError if the package is missing or does not start.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # reports to Google
    provider = 'models.provider = "openvino"'
    try:
        import openvino  # noqa: PLC0415 - an extra

        return openvino.Core()
    except ImportError as error:
        raise ModelError(provider, f"{needs_extra('openvino')} ({error})") from error
    except RuntimeError as error:
        raise ModelError(provider, f"OpenVINO does not start: {one_line(error)}") from error


def openvino_backends() -> dict[str, str]:
    """Returns the providers of OpenVINO's devices, with version and device; empty without it."""
    try:
        core = openvino_core()
    except ModelError:
        return {}
    found = {}
    for device in core.available_devices:
        of_device = "openvino" if device == "CPU" else f"openvino:{device}"
        try:
            name = f"{sys.modules['openvino'].__version__} on "
            name += core.get_property(device, "FULL_DEVICE_NAME")
            has = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
        except RuntimeError:  # a driver that fails: the device is tried by its name alone
            name, has = device, ["FP16"]
        for key in (key for key, capability in PRECISIONS.items() if capability in has):
            found[of_device if key == device_of(of_device)[1] else f"{of_device}:{key}"] = name
    return found


def _options(device: str, precision: str, options: SessionOptions) -> dict[str, object]:
    found: dict[str, object] = {"INFERENCE_PRECISION_HINT": precision}
    if device == "CPU":
        found["NUM_STREAMS"] = options.workers
        found["INFERENCE_NUM_THREADS"] = options.workers * options.threads
        found["ENABLE_CPU_PINNING"] = False  # a service may not set the affinity of its threads
    return found


def _port(declared: Any) -> Port:
    shape = declared.get_partial_shape()
    sizes = tuple(axis.get_length() if axis.is_static else None for axis in shape)
    return Port(declared.get_any_name(), sizes, declared.get_element_type().to_dtype().name)


def _reason(error: RuntimeError) -> str:
    if NO_EXECUTABLE_MEMORY in str(error):
        return "OpenVINO needs executable memory: install systemd/drop-ins/openvino.conf"
    return f"OpenVINO cannot run this network: {one_line(error)}"
