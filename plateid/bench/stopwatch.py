"""Takes the time of methods, less that of the watched methods which they call."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Stopwatch:
    """Milliseconds of each stage, one value a frame; for one thread."""

    def __init__(self) -> None:
        """Nothing is watched yet."""
        self._frames: list[dict[str, float]] = []
        self._inner: list[float] = []
        self._undo: list[Callable[[], None]] = []

    def next_frame(self) -> None:
        """What is booked from here on is of another frame."""
        self._frames.append(defaultdict(float))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Books the time within for the current frame; stages inside it count for themselves."""
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
        """From now on each call of a class's or an object's method is a stage.

        `seen` gets its arguments after each call; that is of no stage.
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
        """All methods are as they were."""
        while self._undo:
            self._undo.pop()()

    def times(self, name: str) -> NDArray[np.float64]:
        """Shape (frames,), in milliseconds."""
        return np.array([frame.get(name, 0.0) for frame in self._frames])
