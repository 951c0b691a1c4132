"""A clip that is played as if it were a camera."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from plateid.capture.stream import read_clip
from plateid.core.records import Frame

_STEP_S = 0.04
"""From the last frame of a round to the first of the next, where a clip has but one frame."""


def play_clip(path: Path, *, loop: bool, wait: Callable[[float], object]) -> Iterator[Frame]:
    """The frames of a clip, each at its time, once or for ever.

    When looping, `media_time_s` goes on over the rounds, and `captured_at` is the clock at the
    start plus the media time.

    Args:
        path: The clip.
        loop: Whether to begin again at the end.
        wait: Sleeps for so many seconds, which may be negative; as `threading.Event.wait` does.

    Raises:
        SourceError: As `read_clip`.
    """
    began, began_at = time.monotonic(), datetime.now(UTC)
    for media_time_s, frame in _rounds(path, loop=loop):
        wait(began + media_time_s - time.monotonic())
        at = began_at + timedelta(seconds=media_time_s) if loop else frame.captured_at
        yield replace(frame, media_time_s=media_time_s, captured_at=at)


def _rounds(path: Path, *, loop: bool) -> Iterator[tuple[float, Frame]]:
    start_s = 0.0
    while True:
        now_s, step_s = start_s, _STEP_S
        for frame in read_clip(path):
            before_s, now_s = now_s, start_s + (frame.media_time_s or 0.0)
            step_s = now_s - before_s or step_s
            yield now_s, frame
        if not loop:
            return
        start_s = now_s + step_s
