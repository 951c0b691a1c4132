"""Measures the time of methods, without the measured methods that they call."""

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Stopwatch(ExitStack):
    """The time of each stage, one value for each frame; its end restores all watched methods."""

    def __init__(self) -> None:
        super().__init__()
        self._frames: list[dict[str, float]] = []
        self._inner = [0.0]

    def next_frame(self) -> None:
        """Starts the next frame."""
        self._frames.append(defaultdict(float))

    def timed(
        self,
        function: Callable[..., Any],
        stage: str,
        seen: Callable[..., object] = lambda *_: None,
    ) -> Callable[..., Any]:
        """Returns a function that adds its time, without that of inner stages, to the frame.

        `seen` is called with the arguments before each call; its time is not in this stage.
        """

        def measured(*args: Any, **options: Any) -> Any:
            seen(*args)
            self._inner.append(0.0)
            started = time.perf_counter()  # no context manager: it costs as much as a small stage
            try:
                return function(*args, **options)
            finally:
                elapsed = time.perf_counter() - started
                self._frames[-1][stage] += 1000 * (elapsed - self._inner.pop())
                self._inner[-1] += elapsed

        return measured

    def watch(self, owner: Any, method: str, stage: str, **options: Any) -> None:
        """Makes each call of a method of a class or object a stage; `options` as `timed`."""
        original = getattr(owner, method)
        setattr(owner, method, self.timed(original, stage, **options))
        self.callback(setattr, owner, method, original)

    def times(self, stage: str) -> NDArray[np.float64]:
        """Returns the times of a stage, milliseconds, shape (frames,)."""
        return np.array([frame.get(stage, 0.0) for frame in self._frames])
