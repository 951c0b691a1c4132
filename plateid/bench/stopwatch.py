"""Measures the time of methods, without the measured methods that they call."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Stopwatch:
    """The time of each stage, one value for each frame; for one thread."""

    def __init__(self) -> None:
        """Measures nothing yet."""
        self._frames: list[dict[str, float]] = []
        self._inner: list[float] = []
        self._undo: list[Callable[[], None]] = []

    def next_frame(self) -> None:
        """Starts the next frame."""
        self._frames.append(defaultdict(float))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time of the block to the current frame, without that of stages inside it."""
        started = self._begin()
        try:
            yield
        finally:
            self._end(name, started)

    def _begin(self) -> float:
        self._inner.append(0.0)
        return time.perf_counter()

    def _end(self, name: str, started: float) -> None:
        elapsed = time.perf_counter() - started
        self._frames[-1][name] += 1000 * (elapsed - self._inner.pop())
        if self._inner:
            self._inner[-1] += elapsed

    def watch(
        self,
        owner: Any,
        method: str,
        name: str,
        *,
        seen: Callable[..., None] = lambda *_, **__: None,
    ) -> None:
        """Makes each call of a method of a class or object a stage.

        `seen` is called with the arguments after each call; its time is in no stage.
        """
        original, is_own = getattr(owner, method), method in vars(owner)

        def watched(*args: Any, **options: Any) -> Any:
            started = self._begin()  # no context manager: it costs as much as a small stage
            try:
                answer = original(*args, **options)
            finally:
                self._end(name, started)
            seen(*args, **options)
            return answer

        setattr(owner, method, watched)
        self._undo.append(
            lambda: setattr(owner, method, original) if is_own else delattr(owner, method)
        )

    def stop(self) -> None:
        """Restores all methods."""
        while self._undo:
            self._undo.pop()()

    def times(self, name: str) -> NDArray[np.float64]:
        """Returns the times of a stage, milliseconds, shape (frames,)."""
        return np.array([frame.get(name, 0.0) for frame in self._frames])
