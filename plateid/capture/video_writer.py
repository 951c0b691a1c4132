"""Writes annotated videos."""

from contextlib import AbstractContextManager, suppress
from fractions import Fraction
from pathlib import Path

import av
import av.error

from plateid.capture.container import source_errors
from plateid.core.records import Image

MILLISECONDS = Fraction(1, 1000)
"""Time base of the written video, seconds."""


class VideoWriter(AbstractContextManager["VideoWriter"]):
    """Writes an H.264 video in an MP4 file, and renames it when complete; raises SourceError."""

    def __init__(self, path: Path) -> None:
        """Creates a temporary file beside `path`."""
        self._path = path
        self._part = path.with_name(f".{path.stem}.part{path.suffix}")
        with source_errors(path):
            self._container = av.open(str(self._part.absolute()), "w")
        self._stream = self._container.add_stream(
            "libx264", options={"crf": "23", "preset": "veryfast"}
        )
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = MILLISECONDS
        self._last_pts = -1

    def write(self, image: Image, media_time_s: float) -> None:
        """Appends an image; all have the size of the first, rounded down to even numbers.

        Timestamps are at least one millisecond apart.
        """
        height, width = (side // 2 * 2 for side in image.shape[:2])
        if self._last_pts < 0:
            self._stream.width, self._stream.height = width, height
        frame = av.VideoFrame.from_ndarray(image[:height, :width].copy(), format="bgr24")
        self._last_pts = max(self._last_pts + 1, round(1000 * media_time_s))
        frame.pts, frame.time_base = self._last_pts, MILLISECONDS
        self._mux(frame)

    def _mux(self, frame: av.VideoFrame | None) -> None:
        with source_errors(self._path):
            self._container.mux(self._stream.encode(frame))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Flushes and renames the file; after an exception it deletes the incomplete file."""
        try:
            if kind is None:
                if self._last_pts >= 0:
                    self._mux(None)
                with source_errors(self._path):
                    self._container.close()
                    self._part.replace(self._path)
        finally:
            with suppress(OSError, av.error.FFmpegError):
                self._container.close()
            self._part.unlink(missing_ok=True)
