"""ONNX Runtime, told exactly where to run; it never falls back to another provider."""

import functools
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from plateid.errors import BundleError, ModelError
from plateid.models.provider_check import check_computed_by, computed_by

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
LOAD_ERRORS = (
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)
START_ERRORS = (RuntimeError, ValueError)
"""A provider whose libraries are missing, or that refuses its options."""
RUN_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.RuntimeException,
    ort_errors.EPFail,
)
ERRORS_ONLY = 3
GREY, GREY_BYTE = 0.5, 128
Batch = NDArray[np.float32] | NDArray[np.uint8]
Shape = Sequence[int | None]
"""None stands for an axis of any size."""


@dataclass(frozen=True)
class Placement:
    """Where and how a network runs.

    Attributes:
        provider: A key of PROVIDERS.
        threads: Of one inference.
        options: Of ONNX Runtime's provider.
        proved: Whether the provider must prove itself with an inference before it is believed.
        one_by_one: Whether free axes are fixed to 1, and the pictures of a batch run one after the
            other: for providers that compile a network for one shape.
    """

    provider: str = "cpu"
    threads: int = 1
    options: Mapping[str, str] = field(default_factory=dict)
    proved: bool = False
    one_by_one: bool = False


ON_CPU = Placement()


class Session:
    """One network with one input; may be called from several threads.

    Attributes:
        name: For error messages.
        placement: Where it runs.
        start_s: Seconds that loading took, building and proof included.
    """

    def __init__(self, name: str, model: bytes, placement: Placement = ON_CPU) -> None:
        """Loads a network from the ONNX file's bytes.

        Raises:
            BundleError: The bytes are no network that this ONNX Runtime can run.
            ModelError: The provider is not to be had here, or did not compute the proof.
        """
        self.name = name
        self.placement = placement
        check_provider(name, placement.provider)
        options = _options(placement.threads)
        started = time.perf_counter()
        if placement.one_by_one:
            self._fix_free_axes(model, options)
        self._load(model, options)
        self.start_s = time.perf_counter() - started

    def _fix_free_axes(self, model: bytes, options: ort.SessionOptions) -> None:
        as_written = _options(1)
        as_written.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = self._created(model, as_written, ON_CPU)
        for axis in session.get_inputs()[0].shape:
            if axis is None:
                raise BundleError(self.name, "an axis of its input has neither a size nor a name")
            if isinstance(axis, str):
                options.add_free_dimension_override_by_name(axis, 1)

    def _load(self, model: bytes, options: ort.SessionOptions) -> None:
        if not self.placement.proved:
            self._session = self._created(model, options, self.placement)
            return
        with tempfile.TemporaryDirectory(prefix="plateid-") as folder:
            options.enable_profiling = True
            options.profile_file_prefix = f"{folder}/profile"
            self._session = self._created(model, options, self.placement)
            self.probe()
            nodes = computed_by(Path(self._session.end_profiling()))
        check_computed_by(self.name, nodes, PROVIDERS[self.placement.provider])

    def _created(
        self, model: bytes, options: ort.SessionOptions, placement: Placement
    ) -> ort.InferenceSession:
        wanted = PROVIDERS[placement.provider]
        providers = [(wanted, dict(placement.options))]
        try:
            session = ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
        except LOAD_ERRORS as error:
            raise BundleError(
                self.name, f"not a network that can be run here: {_line(error)}"
            ) from error
        except START_ERRORS as error:
            raise ModelError(self.name, f"{wanted} could not be started: {_line(error)}") from error
        if session.get_providers()[0] != wanted:
            raise ModelError(self.name, f"{wanted} could not be started; ONNX Runtime printed why")
        return session

    def check_shapes(self, inputs: Shape, *outputs: Shape) -> None:
        """Compares the shapes that the network declares.

        Raises:
            BundleError: They differ, or there are more or fewer inputs or outputs.
        """
        for kind, declared, wanted in (
            ("input", self._session.get_inputs(), [inputs]),
            ("output", self._session.get_outputs(), outputs),
        ):
            shapes = [each.shape for each in declared]
            if len(shapes) != len(wanted) or not all(map(_fits, shapes, wanted)):
                found, said = (
                    " and ".join(str(list(s)) for s in all_) for all_ in (shapes, wanted)
                )
                raise BundleError(self.name, f"{kind} shape is {found}; bundle.toml says {said}")

    def run(self, batch: Batch) -> NDArray[np.float32]:
        """The answer to a batch; of a network with several outputs, the first.

        Raises:
            ModelError: As `outputs`.
        """
        return self.outputs(batch)[0]

    @functools.cached_property
    def takes_bytes(self) -> bool:
        """Whether its input is of 8-bit samples, not of floating-point numbers."""
        return bool(self._session.get_inputs()[0].type == "tensor(uint8)")

    @functools.cached_property
    def _input(self) -> str:
        name: str = self._session.get_inputs()[0].name
        return name

    def bare(self, batch: Batch) -> None:
        """Runs ONNX Runtime on a batch and does nothing else: what cannot be saved."""
        self._session.run(None, {self._input: batch})

    def outputs(self, batch: Batch) -> list[NDArray[np.float32]]:
        """All that the network answers to a batch.

        Raises:
            ModelError: ONNX Runtime failed; never the same as an answer without plates.
        """
        parts = np.split(batch, len(batch)) if self.placement.one_by_one else [batch]
        try:
            answers = [self._session.run(None, {self._input: part}) for part in parts]
        except RUN_ERRORS as error:
            raise ModelError(self.name, f"inference failed: {_line(error)}") from error
        outputs = (
            answers[0]
            if len(answers) == 1
            else [np.concatenate(parts) for parts in zip(*answers, strict=True)]
        )
        if not all(np.isfinite(output).all() for output in outputs):
            raise ModelError(self.name, "its answer has numbers that are not finite")
        return outputs

    def probe(self, *, runs: int = 1) -> float:
        """Runs it on a grey input; the median milliseconds of one inference.

        Raises:
            ModelError: It does not answer with finite numbers.
        """
        declared = self._session.get_inputs()[0].shape
        shape = [size if isinstance(size, int) else 1 for size in declared]
        grey = np.full(shape, *((GREY_BYTE, np.uint8) if self.takes_bytes else (GREY, np.float32)))
        times_ms = []
        for _ in range(runs):
            started = time.perf_counter()
            self.run(grey)
            times_ms.append(1000 * (time.perf_counter() - started))
        return statistics.median(times_ms)


def check_provider(name: str, provider: str) -> None:
    """Raises ModelError where this build of ONNX Runtime does not have the provider."""
    if PROVIDERS[provider] not in ort.get_available_providers():
        raise ModelError(
            name,
            f"this ONNX Runtime has no {PROVIDERS[provider]}: install a build that has it, "
            "or choose another models.provider",
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
    options.log_severity_level = ERRORS_ONLY
    return options
