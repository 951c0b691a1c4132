"""ONNX Runtime, told exactly where to run; it never falls back to another provider."""

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plateid.errors import BundleError, ModelError

# Since 1.29 the official builds keep a telemetry database unless this is set before the import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
LOAD_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)
RUN_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.RuntimeException,
    ort_errors.EPFail,
)
ERRORS_ONLY = 3


class Session:
    """One network with one input and one output; may be called from several threads."""

    def __init__(self, name: str, model: bytes, *, provider: str = "cpu", threads: int = 1) -> None:
        """Loads a network.

        Args:
            name: For error messages.
            model: The ONNX file's bytes.
            provider: A key of PROVIDERS.
            threads: Of one inference.

        Raises:
            BundleError: The bytes are no network that this ONNX Runtime can run.
            ModelError: The provider is not to be had here.
        """
        self.name = name
        wanted = PROVIDERS[provider]
        if wanted not in ort.get_available_providers():
            raise ModelError(
                name, f"this ONNX Runtime has no {wanted}; models.provider must be another"
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ONLY
        try:
            self._session = ort.InferenceSession(model, options, providers=[wanted])
        except LOAD_ERRORS as error:
            raise BundleError(name, f"not a network that can be run here: {error}") from error
        self._session.disable_fallback()
        if self._session.get_providers()[0] != wanted:
            raise ModelError(name, f"{wanted} could not be started")
        self._input = self._session.get_inputs()[0].name

    def check_shapes(self, inputs: Sequence[int | None], outputs: Sequence[int | None]) -> None:
        """Compares the shapes that the network declares; None stands for an axis of any size.

        Raises:
            BundleError: They differ, or there is more than one input or output.
        """
        for kind, declared, wanted in (
            ("input", self._session.get_inputs(), inputs),
            ("output", self._session.get_outputs(), outputs),
        ):
            shape = declared[0].shape
            fits = len(shape) == len(wanted) and all(
                w is None or s == w for s, w in zip(shape, wanted, strict=True)
            )
            if len(declared) != 1 or not fits:
                raise BundleError(
                    self.name, f"{kind} shape is {shape}; bundle.toml says {list(wanted)}"
                )

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """One inference.

        Raises:
            ModelError: ONNX Runtime failed; never the same as an answer without plates.
        """
        try:
            output: NDArray[np.float32] = self._session.run(None, {self._input: batch})[0]
        except RUN_ERRORS as error:
            raise ModelError(self.name, f"inference failed: {error}") from error
        if not np.isfinite(output).all():
            raise ModelError(self.name, "its answer has numbers that are not finite")
        return output
