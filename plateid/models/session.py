"""Runs a network with ONNX Runtime on one execution provider, without falling back to another."""

import functools
import json
import statistics
import tempfile
import time
import timeit
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from plateid.errors import BundleError, ModelError

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
Batch = NDArray[np.float32] | NDArray[np.uint8]
Shape = Sequence[int | None]
"""None is an axis of any size."""


@dataclass(frozen=True)
class SessionOptions:
    """Where and how a network runs; `options` are those of the execution provider.

    `verify_provider` checks by a profiled inference that the provider ran the network.
    `batch_of_one` fixes free axes to 1 and runs the images of a batch one by one, for providers
    that compile a network for one shape.
    """

    provider: str = "cpu"
    threads: int = 1
    options: Mapping[str, str] = field(default_factory=dict)
    verify_provider: bool = False
    batch_of_one: bool = False


CPU = SessionOptions()


class NetworkSession:
    """A network with one input; thread-safe.

    `name` is its name in error messages; `start_s` is the time to load it, including engine
    building and the provider check, in seconds.
    """

    def __init__(self, name: str, model: bytes, session_options: SessionOptions = CPU) -> None:
        """Loads the bytes of an ONNX file.

        Raises BundleError if this ONNX Runtime cannot run the network, and ModelError if the
        provider is not available or did not run it.
        """
        self.name = name
        self.session_options = session_options
        check_available(name, session_options.provider)
        options = _options(session_options.threads)
        started = time.perf_counter()
        if session_options.batch_of_one:
            self._fix_free_axes(model, options)
        self._load(model, options)
        self.start_s = time.perf_counter() - started

    def _fix_free_axes(self, model: bytes, options: ort.SessionOptions) -> None:
        unoptimised = _options(1)
        unoptimised.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = self._create(model, unoptimised, CPU)
        for axis in session.get_inputs()[0].shape:
            if axis is None:
                raise BundleError(self.name, "an axis of its input has neither a size nor a name")
            if isinstance(axis, str):
                options.add_free_dimension_override_by_name(axis, 1)

    def _load(self, model: bytes, options: ort.SessionOptions) -> None:
        if not self.session_options.verify_provider:
            self._session = self._create(model, options, self.session_options)
            return
        with tempfile.TemporaryDirectory(prefix="plateid-") as folder:
            options.enable_profiling = True
            options.profile_file_prefix = f"{folder}/profile"
            self._session = self._create(model, options, self.session_options)
            self.probe()
            nodes = _nodes_run(Path(self._session.end_profiling()))
        check_provider_ran(self.name, nodes, PROVIDERS[self.session_options.provider])

    def _create(
        self, model: bytes, options: ort.SessionOptions, session_options: SessionOptions
    ) -> ort.InferenceSession:
        wanted = PROVIDERS[session_options.provider]
        providers = [(wanted, dict(session_options.options))]
        try:
            session = ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
        except ORT_ERRORS as error:
            raise BundleError(self.name, f"this network cannot be run: {_line(error)}") from error
        except (RuntimeError, ValueError) as error:  # missing libraries, refused options
            raise ModelError(self.name, f"{wanted} failed to start: {_line(error)}") from error
        if session.get_providers()[0] != wanted:
            reason = "failed to start; ONNX Runtime printed the reason"
            raise ModelError(self.name, f"{wanted} {reason}")
        return session

    def check_shapes(self, inputs: Shape, *outputs: Shape) -> None:
        """Raises BundleError unless the network declares exactly these shapes."""
        for kind, declared, wanted in (
            ("input", self._session.get_inputs(), [inputs]),
            ("output", self._session.get_outputs(), outputs),
        ):
            shapes = [each.shape for each in declared]
            if len(shapes) != len(wanted) or not all(map(_fits, shapes, wanted)):
                got, stated = (" and ".join(map(str, map(list, x))) for x in (shapes, wanted))
                raise BundleError(self.name, f"{kind} shape is {got}; bundle.toml says {stated}")

    @property
    def takes_uint8(self) -> bool:
        """Whether the input is uint8, not float32."""
        return bool(self._input.type == "tensor(uint8)")

    @functools.cached_property
    def _input(self) -> ort.NodeArg:
        return self._session.get_inputs()[0]

    def run(self, batch: Batch) -> NDArray[np.float32]:
        """Returns the output for a batch; raises ModelError if it fails or is not finite."""
        parts = np.split(batch, len(batch)) if self.session_options.batch_of_one else [batch]
        try:
            outputs = [self._session.run(None, {self._input.name: part})[0] for part in parts]
        except ORT_ERRORS as error:
            raise ModelError(self.name, f"inference failed: {_line(error)}") from error
        output = outputs[0] if len(outputs) == 1 else np.concatenate(outputs)
        if not np.isfinite(output).all():
            raise ModelError(self.name, "its output has numbers that are not finite")
        return np.asarray(output, dtype=np.float32)

    def run_unchecked(self, batch: Batch) -> None:
        """Runs ONNX Runtime alone, without checks, to measure its share of the time."""
        self._session.run(None, {self._input.name: batch})

    def probe(self, *, runs: int = 1) -> float:
        """Runs the network on a black input; returns the median milliseconds of one inference."""
        shape = [size if isinstance(size, int) else 1 for size in self._input.shape]
        black: Batch = np.zeros(shape, np.float32)
        black = black.astype(np.uint8) if self.takes_uint8 else black
        times_s = timeit.repeat(lambda: self.run(black), number=1, repeat=runs)
        return 1000 * statistics.median(times_s)


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


def _fits(shape: Sequence[int | str | None], wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(
        w is None or s == w for s, w in zip(shape, wanted, strict=True)
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    return options
