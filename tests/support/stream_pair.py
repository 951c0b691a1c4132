"""A sub-stream and a main stream of one scene, as video files."""

import functools
from pathlib import Path

import av
import cv2

from plateid.demo import DEMO_VIDEO

FPS = 12
SIZE = 1280, 720
"""Size of the main stream."""


BITS = 7
"""Number of squares, one for each bit of a frame's number."""


def write_pair(folder: Path, *, count=48, size=SIZE, sub=(640, 360), **options: str):
    """Returns main.mp4, with these options of its encoder, and sub.mp4."""
    paths = folder / "main.mp4", folder / "sub.mp4"
    with Encoder(paths[0], size, options) as big, Encoder(paths[1], sub, {}) as small:
        for image in images(count):
            big.write(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
            small.write(cv2.resize(image, sub, interpolation=cv2.INTER_AREA))
    return paths


@functools.cache
def images(count: int):
    """Returns the images of the scene, with their numbers."""
    return tuple(numbered(image, number) for number, image in enumerate(scene(count)))


def scene(count: int):
    """Yields every second frame of the demo video."""
    with av.open(str(DEMO_VIDEO)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % 2 == 0:
                yield cv2.resize(frame.to_ndarray(format="bgr24"), SIZE)
            if number >= 2 * count - 2:
                return


def numbered(image, number: int):
    """Draws the bits of a number as black and white squares."""
    for bit in range(BITS):
        x, level = bit * image.shape[1] // 20, 255 * (number >> bit & 1)
        image[: image.shape[0] // 12, x : x + image.shape[1] // 20] = level
    return image


def number_of(image) -> int:
    """Returns the number in an image of any size."""
    bits = image.luma(20, 12)[0, :BITS] > 127
    return sum(int(bit) << place for place, bit in enumerate(bits))


class Encoder:
    def __init__(self, path: Path, size: tuple[int, int], options: dict[str, str]) -> None:
        wanted = {"g": str(FPS), "bf": "0", "crf": "26", "preset": "ultrafast", "threads": "1"}
        self._container = av.open(str(path), "w")
        wanted |= options
        codec = wanted.pop("codec", "libx264")
        self._stream = self._container.add_stream(codec, rate=FPS, options=wanted)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"

    def write(self, image) -> None:
        frame = av.VideoFrame.from_ndarray(image, "bgr24")
        self._container.mux(self._stream.encode(frame))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._container.mux(self._stream.encode())
        self._container.close()
