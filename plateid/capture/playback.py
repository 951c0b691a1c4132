"""Plays a video file as if it were a live camera."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from plateid.capture.video_file import read_video
from plateid.core.records import Frame

_FRAME_S = 0.04
"""Duration of the last frame of a file that has only one."""


def play_video(path: Path, *, loop: bool, wait: Callable[[float], object]) -> Iterator[Frame]:
    """Yields the frames of a video file at their recorded pace; `wait` sleeps that many seconds.

    When looping, `media_time_s` continues over the rounds, and `captured_at` is the start of
    playback plus the media time. Raises SourceError as `read_video` does.
    """
    started, started_at = time.monotonic(), datetime.now(UTC)
    for media_time_s, frame in _rounds(path, loop=loop):
        wait(started + media_time_s - time.monotonic())
        at = started_at + timedelta(seconds=media_time_s) if loop else frame.captured_at
        yield replace(frame, media_time_s=media_time_s, captured_at=at)


def _rounds(path: Path, *, loop: bool) -> Iterator[tuple[float, Frame]]:
    start_s = 0.0
    while True:
        now_s, step_s = start_s, _FRAME_S
        for frame in read_video(path):
            before_s, now_s = now_s, start_s + (frame.media_time_s or 0.0)
            step_s = now_s - before_s or step_s
            yield now_s, frame
        if not loop:
            return
        start_s = now_s + step_s
