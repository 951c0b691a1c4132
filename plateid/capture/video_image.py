"""A decoded video frame that stays YUV until pixels are needed."""

import functools
import threading
from typing import cast

import av
import cv2
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from plateid.capture.images import ArrayImage, pixels_of
from plateid.core.records import Box, Grey, Image

_STEPS = {
    "yuv420p": (2, 2),
    "yuvj420p": (2, 2),
    "nv12": (2, 2),
    "yuv422p": (2, 1),
    "yuvj422p": (2, 1),
}
"""Luma samples per chroma sample, across and down; USB cameras send MJPEG as 4:2:2."""
_MATRICES = frozenset({0, 1, 2, 4, 5, 6, 7, 9})
"""Colour matrices that swscale converts from (ITU-T H.273); the others are rare."""
_UNSPECIFIED = 2
"""Colour matrix of a video that states none (ITU-T H.273)."""
_MARGIN = 8
"""Pixels added around a crop: swscale mixes neighbouring chroma samples, and with this margin a
crop has the same colours as in the whole image."""
AREA_REDUCTION = 2.5
"""Reduction from which on area averaging is as good as the bilinear filter and takes two thirds of
its time (docs/speed.md)."""
_SCALED_FIRST = {"yuv420p": "yuv422p", "yuvj420p": "yuvj422p"}
"""Formats that are first scaled to 4:2:2 and then converted, which is faster than both at once
(docs/speed.md): at even sizes, swscale has a special loop for conversion without scaling."""
LUMA_ROWS = 3
"""Rows of luma samples averaged for one row of the motion image; other rows are not read."""
_TURNS = {
    1: cv2.ROTATE_90_COUNTERCLOCKWISE,
    2: cv2.ROTATE_180,
    3: cv2.ROTATE_90_CLOCKWISE,
}
"""OpenCV's rotations by number of quarter turns anticlockwise."""


class _Scalers(threading.local):
    """swscale contexts of one thread; they are costly to set up for another size."""

    def __init__(self) -> None:
        self.whole = VideoReformatter()
        self.planes = VideoReformatter()
        self.part = VideoReformatter()


_scalers = _Scalers()


class VideoImage:
    """A thread-safe `LazyImage` of a decoder's frame, rotated by its display matrix."""

    def __init__(self, frame: av.VideoFrame, *, turns: int | None = None) -> None:
        """Wraps the frame; `turns`, quarter turns to the left, overrides its display matrix."""
        if frame.colorspace not in _MATRICES:
            frame.colorspace = _UNSPECIFIED
        self._frame = frame
        self._turns = round(frame.rotation / 90) % 4 if turns is None else turns
        self.width, self.height = self._swapped(frame.width, frame.height)

    def resized(self, width: int, height: int) -> Image:
        """Returns the whole image, scaled."""
        size, frame = self._swapped(width, height), self._frame
        reduced = frame.width >= AREA_REDUCTION * size[0]
        method = Interpolation.AREA if reduced else Interpolation.BILINEAR
        even = size[0] % 2 == size[1] % 2 == 0
        if even and method is Interpolation.AREA and frame.format.name in _SCALED_FIRST:
            planes = _SCALED_FIRST[frame.format.name]
            frame = _scalers.planes.reformat(frame, *size, planes, interpolation=method, threads=1)
        return self._turned(_bgr(_scalers.whole, frame, size, method))

    def crop(self, box: Box) -> Image:
        """Returns the pixels that `box` touches, at least one; converts nothing else.

        Only 8-bit 4:2:0 and 4:2:2 frames of even size can be cut; others are converted whole, once.
        """
        stored = self._stored(pixels_of(box, self.width, self.height))
        if self._can_be_cut:
            return self._turned(_crop(self._frame, stored))
        x1, y1, x2, y2 = stored
        return self._turned(self._whole[y1:y2, x1:x2])

    def part(self, box: Box) -> "VideoImage | ArrayImage":
        """Returns the part inside `box` (even numbers); copies planes if they can be cut."""
        if not self._can_be_cut:
            return ArrayImage(self.crop(box))
        stored = self._stored(pixels_of(box, self.width, self.height))
        return VideoImage(_cut(self._frame, stored), turns=self._turns)

    def luma(self, width: int, height: int) -> Grey:
        """Returns the Y plane, scaled; black is 16 if the camera sends limited range."""
        if self._frame.format.name not in _STEPS:
            return ArrayImage(self.resized(width, height)).luma(width, height)
        size = self._swapped(width, height)
        step = max(1, self._frame.height // (LUMA_ROWS * size[1]))
        plane = _samples(self._frame.planes[0])[: self._frame.height : step, : self._frame.width]
        return self._turned(cv2.resize(plane, size, interpolation=cv2.INTER_AREA))

    @property
    def _can_be_cut(self) -> bool:
        even = self._frame.width % 2 == self._frame.height % 2 == 0  # swscale differs at odd sizes
        return even and self._frame.format.name in _STEPS

    @functools.cached_property
    def _whole(self) -> Image:
        return _bgr(_scalers.whole, self._frame, (self._frame.width, self._frame.height))

    def _swapped(self, width: int, height: int) -> tuple[int, int]:
        return (height, width) if self._turns % 2 else (width, height)

    def _turned(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        turned: NDArray[np.uint8] = cv2.rotate(image, _TURNS[self._turns]) if self._turns else image
        return turned

    def _stored(self, box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """Maps a box of the displayed image to the stored one."""
        width, height = self.width, self.height
        for _ in range(self._turns):
            x1, y1, x2, y2 = box
            box = height - y2, x1, height - y1, x2
            width, height = height, width
        return box


def _bgr(
    scaler: VideoReformatter,
    frame: av.VideoFrame,
    size: tuple[int, int],
    method: Interpolation = Interpolation.BILINEAR,
) -> Image:
    """Converts a frame to BGR of size (width, height), shape (height, width, 3).

    One thread: starting more costs more than they save.
    """
    width, height = size
    scaled = scaler.reformat(frame, width, height, "bgr24", interpolation=method, threads=1)
    rows = _samples(scaled.planes[0])[:height, : 3 * width]
    return rows.reshape(height, width, 3)


def _crop(frame: av.VideoFrame, box: tuple[int, int, int, int]) -> Image:
    """Converts a part of a frame with the margin that its colours need."""
    x1, y1, x2, y2 = box
    left, top = (max(0, low - _MARGIN) // 2 * 2 for low in (x1, y1))
    right = min((x2 + _MARGIN + 1) // 2 * 2, frame.width)
    bottom = min((y2 + _MARGIN + 1) // 2 * 2, frame.height)
    part = _cut(frame, (left, top, right, bottom))
    image = _bgr(_scalers.part, part, (part.width, part.height))
    return image[y1 - top : y2 - top, x1 - left : x2 - left]


def _cut(frame: av.VideoFrame, box: tuple[int, int, int, int]) -> av.VideoFrame:
    """Copies a part of the planes; its borders are even numbers."""
    left, top, right, bottom = box
    part = av.VideoFrame(right - left, bottom - top, frame.format.name)
    part.color_range, part.colorspace = frame.color_range, frame.colorspace
    for index, (source, target) in enumerate(zip(frame.planes, part.planes, strict=True)):
        across, down = _STEPS[frame.format.name] if index else (1, 1)
        channels = 2 if index and frame.format.name == "nv12" else 1
        into = _samples(target, channels)[: target.height, : target.width]
        into[:] = _samples(source, channels)[top // down :, left // across :][
            : target.height, : target.width
        ]
    return part


def _samples(plane: VideoPlane, channels: int = 1) -> NDArray[np.uint8]:
    """Returns a view of a plane with row padding, (H, stride) or (H, stride, channels)."""
    samples = np.frombuffer(cast("memoryview[int]", plane), np.uint8)
    shape = (-1, plane.line_size) if channels == 1 else (-1, plane.line_size // channels, channels)
    return samples.reshape(shape)
