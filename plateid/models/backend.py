"""A backend: it loads a network on a device and runs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Batch = NDArray[np.float32] | NDArray[np.uint8]


@dataclass(frozen=True)
class SessionOptions:
    """Where and how a network runs; `options` are those of ONNX Runtime's execution provider.

    `workers` is the number of threads that run it at the same time. `verify_provider` checks by a
    profiled inference that the provider ran the network. `batch_of_one` fixes free axes to 1 and
    runs the images of a batch one by one, for devices that compile a network for one shape.
    """

    provider: str = "cpu"
    threads: int = 1
    workers: int = 1
    options: Mapping[str, str] = field(default_factory=dict)
    verify_provider: bool = False
    batch_of_one: bool = False


@dataclass(frozen=True)
class Port:
    """What a network declares of an input or output; a free axis has a name or None."""

    name: str
    shape: tuple[int | str | None, ...]
    dtype: str  # numpy's name

    def black(self) -> Batch:
        """Returns a black input, free axes of size 1."""
        shape = [size if isinstance(size, int) else 1 for size in self.shape]
        black: Batch = np.zeros(shape, self.dtype)
        return black


class Backend(Protocol):
    """A network that is loaded on a device, and what it takes and returns; thread-safe."""

    inputs: list[Port]
    outputs: list[Port]

    def run(self, batch: Batch) -> Sequence[NDArray[np.float32]]:
        """Returns the outputs for a batch; raises ModelError if that fails."""


def one_line(error: Exception) -> str:
    """Returns the message of a library's error as one line."""
    return " ".join(str(error).split())
