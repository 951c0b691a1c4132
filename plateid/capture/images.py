"""Pictures from files, and the files of a folder."""

import math
from pathlib import Path

import cv2
import numpy as np

from plateid.capture import headers
from plateid.core.records import Box, Grey, Image
from plateid.errors import SourceError

MAX_PIXELS = 128_000_000
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
CLIP_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".flv", ".wmv"}
    | {".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".h264", ".h265"}
)


class ArrayImage:
    """A BGR array, shape (H, W, 3), as `core.records.Picture`; it is not copied."""

    def __init__(self, image: Image) -> None:
        """Keeps the array."""
        self._image = image

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self._image.shape[1])

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self._image.shape[0])

    def resized(self, width: int, height: int) -> Image:
        """The whole picture scaled to this size; the array itself where that is its size."""
        if (width, height) == (self.width, self.height):
            return self._image
        smaller = width <= self.width and height <= self.height
        way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        scaled: Image = cv2.resize(self._image, (width, height), interpolation=way)
        return scaled

    def crop(self, box: Box) -> Image:
        """A view of the pixels that `box` touches; at least one."""
        x1, y1, x2, y2 = pixels_of(box, self.width, self.height)
        return self._image[y1:y2, x1:x2]

    def part(self, box: Box) -> "ArrayImage":
        """The part of the picture inside `box`."""
        return ArrayImage(self.crop(box))

    def luma(self, width: int, height: int) -> Grey:
        """The brightness of the whole picture, scaled to this size."""
        grey: Grey = cv2.cvtColor(self.resized(width, height), cv2.COLOR_BGR2GRAY)
        return grey


def pixels_of(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """The pixels that `box` touches in a picture of this size: x1, y1, and x2, y2 behind the last.

    A box without area, or outside of the picture, gives the nearest pixel.
    """
    x1, y1 = (
        min(max(math.floor(low), 0), size - 1)
        for low, size in zip(box[:2], (width, height), strict=True)
    )
    x2, y2 = math.ceil(box[2]), math.ceil(box[3])
    return x1, y1, min(max(x2, x1 + 1), width), min(max(y2, y1 + 1), height)


def read_image(path: Path) -> ArrayImage:
    """Decodes a JPEG, PNG, WebP, BMP or TIFF file, whatever its name, turned as its Exif says.

    16 bits become 8, grey and CMYK become BGR, transparency is dropped.

    Raises:
        SourceError: The file is missing, empty, not a picture, truncated, damaged, or has more than
            MAX_PIXELS, which is found without decoding it.
    """
    data = _read(path)
    header = headers.parse(data)
    if header is None:
        raise SourceError(path, "is not a JPEG, PNG, WebP, BMP or TIFF picture")
    if header.width * header.height > MAX_PIXELS:
        raise SourceError(path, f"is too large: {header.width} x {header.height} pixels")
    if not header.complete:
        raise SourceError(path, "is truncated")
    return ArrayImage(_decode(path, data))


def _read(path: Path) -> bytes:
    """The bytes of a picture; no more than the first of anything else, which may be a long clip."""
    try:
        with path.open("rb") as file:
            head = file.read(headers.MAGIC_BYTES)
            data = head + file.read() if headers.is_known(head) else head
    except FileNotFoundError:
        raise SourceError(path, "does not exist") from None
    except OSError as error:
        raise SourceError(path, error.strerror) from error
    if not data:
        raise SourceError(path, "is empty")
    return data


def _decode(path: Path, data: bytes) -> Image:
    try:
        image: Image | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise SourceError(path, f"is damaged: {error.err}") from error
    if image is None:
        raise SourceError(path, "is damaged, or of a kind that OpenCV does not know")
    return image


def is_image(path: Path) -> bool:
    """Whether to try `read_image`: by the file's first bytes, or else by its suffix."""
    try:
        with path.open("rb") as file:
            known = headers.is_known(file.read(headers.MAGIC_BYTES))
    except OSError:
        known = False
    return known or path.suffix.lower() in IMAGE_SUFFIXES


def find_sources(path: Path) -> list[Path]:
    """A file gives itself; a folder its pictures and clips by suffix, sorted by name.

    Not those in folders below it, and not those whose names begin with a dot.

    Raises:
        SourceError: It does not exist, cannot be listed, or is a folder without pictures or clips.
    """
    try:
        if not path.is_dir():
            path.stat()
            if not path.is_file():
                raise SourceError(path, "is neither a file nor a folder")
            return [path]
        files = sorted(file for file in path.iterdir() if _is_source(file))
    except FileNotFoundError:
        raise SourceError(path, "does not exist") from None
    except OSError as error:
        raise SourceError(path, error.strerror) from error
    if not files:
        raise SourceError(path, "holds no pictures or clips")
    return files


def _is_source(file: Path) -> bool:
    suffixes = IMAGE_SUFFIXES | CLIP_SUFFIXES
    return file.suffix.lower() in suffixes and not file.name.startswith(".") and file.is_file()
