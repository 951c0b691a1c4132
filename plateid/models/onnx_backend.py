"""Runs a network with ONNX Runtime on one execution provider, without falling back to another."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from plateid.errors import BundleError, ModelError
from plateid.models.backend import Batch, Port, SessionOptions, one_line

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
ORT_ERRORS = (
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)
HEAVY = ("Conv", "Gemm", "MatMul", "LSTM", "GRU", "Attention")
"""Substrings of the operators that do nearly all of a network's arithmetic."""


class OnnxBackend:
    """A network that ONNX Runtime runs; thread-safe."""

    def __init__(self, name: str, model: bytes, session_options: SessionOptions) -> None:
        """Loads the bytes of an ONNX file.

        Raises BundleError if this ONNX Runtime cannot run the network, and ModelError if the
        provider is not available or did not run it.
        """
        self._name = name
        self._session_options = session_options
        check_available(name, session_options.provider)
        options = _options(session_options.threads)
        if session_options.batch_of_one:
            self._fix_free_axes(model, options)
        self._load(model, options)

    def _fix_free_axes(self, model: bytes, options: ort.SessionOptions) -> None:
        unoptimised = _options(1)
        unoptimised.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = self._create(model, unoptimised, SessionOptions())
        for axis in session.get_inputs()[0].shape:
            if axis is None:
                raise BundleError(self._name, "an axis of its input has neither a size nor a name")
            if isinstance(axis, str):
                options.add_free_dimension_override_by_name(axis, 1)

    def _load(self, model: bytes, options: ort.SessionOptions) -> None:
        if not self._session_options.verify_provider:
            self._use(self._create(model, options, self._session_options))
            return
        with tempfile.TemporaryDirectory(prefix="plateid-") as folder:
            options.enable_profiling = True
            options.profile_file_prefix = f"{folder}/profile"
            self._use(self._create(model, options, self._session_options))
            self.run(self.inputs[0].black())
            nodes = _nodes_run(Path(self._session.end_profiling()))
        check_provider_ran(self._name, nodes, PROVIDERS[self._session_options.provider])

    def _use(self, session: ort.InferenceSession) -> None:
        self._session = session
        self.inputs = [_port(each) for each in session.get_inputs()]
        self.outputs = [_port(each) for each in session.get_outputs()]

    def _create(
        self, model: bytes, options: ort.SessionOptions, session_options: SessionOptions
    ) -> ort.InferenceSession:
        wanted = PROVIDERS[session_options.provider]
        providers = [(wanted, dict(session_options.options))]
        try:
            session = ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
        except ORT_ERRORS as error:
            reason = f"this network cannot be run: {one_line(error)}"
            raise BundleError(self._name, reason) from error
        except (RuntimeError, ValueError) as error:  # missing libraries, refused options
            reason = f"{wanted} failed to start: {one_line(error)}"
            raise ModelError(self._name, reason) from error
        if session.get_providers()[0] != wanted:
            reason = "failed to start; ONNX Runtime printed the reason"
            raise ModelError(self._name, f"{wanted} {reason}")
        return session

    @property
    def metadata(self) -> dict[str, str]:
        """The file's own description of the network."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, batch: Batch) -> Sequence[NDArray[np.float32]]:
        """Returns the outputs for a batch; raises ModelError if that fails."""
        try:
            outputs: Sequence[NDArray[np.float32]] = self._session.run(
                None, {self.inputs[0].name: batch}
            )
        except ORT_ERRORS as error:
            raise ModelError(self._name, f"inference failed: {one_line(error)}") from error
        return outputs


def _port(declared: ort.NodeArg) -> Port:
    dtype = declared.type.removeprefix("tensor(").removesuffix(")")
    return Port(declared.name, tuple(declared.shape), {"float": "float32"}.get(dtype, dtype))


def onnx_backends() -> dict[str, str]:
    """Returns the providers that this build of ONNX Runtime has, with its version."""
    has = ort.get_available_providers()
    return {key: f"{name} {ort.__version__}" for key, name in PROVIDERS.items() if name in has}


def check_available(name: str, provider: str) -> None:
    """Raises ModelError if this build of ONNX Runtime lacks the provider."""
    if PROVIDERS[provider] not in ort.get_available_providers():
        advice = "install a build that has it, or choose another models.provider"
        raise ModelError(name, f"this ONNX Runtime has no {PROVIDERS[provider]}: {advice}")


def _nodes_run(profile: Path) -> list[tuple[str, str]]:
    """Returns (operator, provider) of each node that ran, from an ONNX Runtime profile."""
    events = json.loads(profile.read_bytes())
    nodes = [event["args"] for event in events if event["cat"] == "Node"]
    return [(node["op_name"], node["provider"]) for node in nodes if "provider" in node]


def check_provider_ran(name: str, nodes: Sequence[tuple[str, str]], provider: str) -> None:
    """Raises ModelError if the provider ran no node, or another one ran a heavy node."""
    if all(ran_on != provider for _, ran_on in nodes):
        raise ModelError(name, f"{provider} was loaded, but ran no node")
    elsewhere = [
        f"{operator} on {ran_on}"
        for operator, ran_on in nodes
        if ran_on != provider and any(part in operator for part in HEAVY)
    ]
    if elsewhere:
        raise ModelError(
            name, f"{provider} cannot run the whole network: {', '.join(sorted(set(elsewhere)))}"
        )


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    return options
