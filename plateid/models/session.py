"""A network that runs on one backend, with checks of what goes in and comes out."""

import statistics
import time
import timeit
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from plateid.errors import BundleError, ModelError
from plateid.models.backend import Backend, Batch, SessionOptions
from plateid.models.onnx_backend import OnnxBackend
from plateid.models.openvino_backend import OpenVinoBackend

BACKENDS: Mapping[str, Callable[[str, bytes, SessionOptions], Backend]] = {
    "cpu": OnnxBackend,
    "cuda": OnnxBackend,
    "tensorrt": OnnxBackend,
    "openvino": OpenVinoBackend,
}
"""What runs a network, by the first word of `models.provider`."""
Shape = Sequence[int | None]
"""None is an axis of any size."""
CPU = SessionOptions()


class NetworkSession:
    """A network with one input; thread-safe.

    `name` is its name in error messages; `start_s` is the time to load it, including engine
    building and the provider check, in seconds. `output` is the number of the output that is used.
    """

    def __init__(self, name: str, model: bytes, session_options: SessionOptions = CPU) -> None:
        """Loads the bytes of an ONNX file.

        Raises BundleError if the backend cannot run the network, and ModelError if it is not
        available or did not run it.
        """
        self.name = name
        self.session_options = session_options
        self.output = 0
        started = time.perf_counter()
        load = BACKENDS[session_options.provider.partition(":")[0]]
        self._backend = load(name, model, session_options)
        if session_options.verify_provider:
            self.probe()
        self.start_s = time.perf_counter() - started

    def check_shapes(self, inputs: Shape, *outputs: Shape) -> None:
        """Raises BundleError unless the network declares exactly these shapes."""
        for kind, declared, wanted in (
            ("input", self._backend.inputs, [inputs]),
            ("output", self._backend.outputs, outputs),
        ):
            shapes = [each.shape for each in declared]
            if len(shapes) != len(wanted) or not all(map(_fits, shapes, wanted)):
                got, stated = (" and ".join(map(str, map(list, x))) for x in (shapes, wanted))
                raise BundleError(self.name, f"{kind} shape is {got}; bundle.toml says {stated}")

    @property
    def takes_uint8(self) -> bool:
        """Whether the input is uint8, not float32."""
        return self._backend.inputs[0].dtype == "uint8"

    def run(self, batch: Batch) -> NDArray[np.float32]:
        """Returns the output for a batch; raises ModelError if it fails or is not finite."""
        by_one = self.session_options.batch_of_one
        parts = [batch[n : n + 1] for n in range(len(batch))] if by_one else [batch]
        outputs = [self._backend.run(part)[self.output] for part in parts]
        output = outputs[0] if len(outputs) == 1 else np.concatenate(outputs)
        if not np.isfinite(output).all():
            raise ModelError(self.name, "its output has numbers that are not finite")
        return np.asarray(output, dtype=np.float32)

    def run_unchecked(self, batch: Batch) -> None:
        """Runs the backend alone, without checks, to measure its share of the time."""
        self._backend.run(batch)

    def probe(self, *, runs: int = 1) -> float:
        """Runs the network on a black input; returns the median milliseconds of one inference."""
        black = self._backend.inputs[0].black()
        times_s = timeit.repeat(lambda: self.run(black), number=1, repeat=runs)
        return 1000 * statistics.median(times_s)


def _fits(shape: Sequence[int | str | None], wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(
        w is None or s == w for s, w in zip(shape, wanted, strict=True)
    )
