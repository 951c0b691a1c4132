"""Image files, and the images and videos of a folder."""

import math
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import av.error
import cv2
import numpy as np
import simplejpeg
from av.packet import Packet

from plateid.capture import image_headers
from plateid.capture.container import source_errors
from plateid.core.records import Box, Grey, Image
from plateid.errors import SourceError
from plateid.files import read_file, read_start

MAX_PIXELS = 128_000_000
"""Larger images are refused before decoding; decoded, this many pixels take 384 MB."""
MAX_FILE_BYTES = 500_000_000
"""Larger files are refused: no image of MAX_PIXELS needs more."""
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".flv", ".wmv"}
    | {".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".h264", ".h265"}
)
SUFFIXES = IMAGE_SUFFIXES | VIDEO_SUFFIXES
_PNG = b"\x89PNG\r\n\x1a\n"
"""First bytes of a PNG image."""
_PNG_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"}
"""Chunks of a PNG that the pixels depend on. libpng prints warnings about some others."""
_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_START_OF_SCAN = b"\xff\xda"
_TRANSPOSED = {5, 6, 7, 8}
"""Exif orientations whose rows and columns are exchanged."""
_STEPS = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}
"""Steps of rows and columns by Exif orientation, after that exchange."""
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it prints no file names


class ArrayImage:
    """A `LazyImage` around a BGR array, shape (H, W, 3), which is not copied."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self.height, self.width = image.shape[:2]

    def resized(self, width: int, height: int) -> Image:
        """Returns the image scaled to this size; the array itself if that is its size."""
        if (width, height) == (self.width, self.height):
            return self._image
        smaller = width <= self.width and height <= self.height
        interpolation = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        scaled: Image = cv2.resize(self._image, (width, height), interpolation=interpolation)
        return scaled

    def crop(self, box: Box) -> Image:
        """Returns a view of the pixels that `box` touches; at least one pixel."""
        x1, y1, x2, y2 = pixels_of(box, self.width, self.height)
        return self._image[y1:y2, x1:x2]

    def part(self, box: Box) -> "ArrayImage":
        """Returns the part of the image inside `box`."""
        return ArrayImage(self.crop(box))

    def luma(self, width: int, height: int) -> Grey:
        """Returns the brightness (grey) of the image, scaled to this size."""
        grey: Grey = cv2.cvtColor(self.resized(width, height), cv2.COLOR_BGR2GRAY)
        return grey


class DamagedImageError(SourceError):
    """A part of an image cannot be decoded; `readable` has the rest grey, black or wrong."""

    def __init__(self, name: object, reason: str, readable: ArrayImage) -> None:
        super().__init__(name, reason)
        self.readable = readable


def pixels_of(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """Returns the pixels x1, y1, x2, y2 (end exclusive) that `box` touches, or the nearest."""
    x1 = min(max(math.floor(box[0]), 0), width - 1)
    y1 = min(max(math.floor(box[1]), 0), height - 1)
    x2 = min(max(math.ceil(box[2]), x1 + 1), width)
    y2 = min(max(math.ceil(box[3]), y1 + 1), height)
    return x1, y1, x2, y2


def read_image(path: Path) -> ArrayImage:
    """Decodes an image file as `decode_image` does; raises SourceError if it cannot."""
    with source_errors(path):
        return decode_image(read_file(path, limit_bytes=MAX_FILE_BYTES), path)


def decode_image(data: bytes, name: object = "image") -> ArrayImage:
    """Decodes the bytes of a JPEG, PNG, WebP, BMP or TIFF file and applies its Exif rotation.

    16 bits become 8, grey and CMYK become BGR, transparency is dropped. Raises SourceError with
    the name if the bytes are empty, no image, or of more than MAX_PIXELS; DamagedImageError if
    they are truncated or damaged but a part can be decoded; of PNG, nothing is.
    """
    if not data:
        raise SourceError(name, "is empty")
    header = image_headers.parse(data)
    if header is None:
        raise SourceError(name, "is not a JPEG, PNG, WebP, BMP or TIFF image")
    if header.width * header.height > MAX_PIXELS:
        raise SourceError(name, f"is too large: {header.width} x {header.height} pixels")
    pixels, damage = _decoded(data, header)
    if pixels is not None and damage is None and header.complete:
        return ArrayImage(pixels)
    found = f"is damaged: {damage}" if damage else "is damaged, or of a kind that is not supported"
    reason = found if header.complete else "is truncated"
    if pixels is None:
        raise SourceError(name, reason)
    raise DamagedImageError(name, reason, ArrayImage(pixels))


def _decoded(data: bytes, header: image_headers.Header) -> tuple[Image | None, str | None]:
    """Returns the upright pixels that can be decoded, if any, and what is damaged, if known."""
    if header.width and data.startswith(b"\xff\xd8"):
        pixels, damage = _decode_jpeg(data)
        return None if pixels is None else _upright(pixels, header.orientation), damage
    if not header.complete:
        return None, None
    if data.startswith(_PNG) and not (data := _png_pixels(data)):
        return None, "its checksum is wrong"
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), None
    except cv2.error as error:
        return None, error.err


def _png_pixels(data: bytes) -> bytes:
    """Returns a PNG without other chunks than `_PNG_CHUNKS`; empty if a checksum is wrong."""
    position, kept, kind = len(_PNG), [_PNG], b""
    while position < len(data) and kind != b"IEND":
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        kind, checksum = data[position + 4 : position + 8], zlib.crc32(data[position + 4 : end - 4])
        if data[end - 4 : end] != checksum.to_bytes(4, "big"):
            return b""
        kept += [data[position:end]] if kind in _PNG_CHUNKS else []
        position = end
    return b"".join(kept)


def _upright(pixels: Image, orientation: int) -> Image:
    turned = pixels.transpose(1, 0, 2) if orientation in _TRANSPOSED else pixels
    down, right = _STEPS.get(orientation, (1, 1))
    return np.ascontiguousarray(turned[::down, ::right])


def _decode_jpeg(data: bytes) -> tuple[Image | None, str | None]:
    """Returns the BGR pixels as stored, grey or wrong where damaged, and what is damaged."""
    try:
        return simplejpeg.decode_jpeg(data, "BGR"), _ffmpeg_damage(data)
    except ValueError as error:
        damage = str(error)
    try:
        return simplejpeg.decode_jpeg(data, "BGR", strict=False), damage
    except ValueError:
        if _ffmpeg_damage(data) or not _has_whole_segments(data):
            return None, damage
    # TurboJPEG does not know each kind of chroma subsampling
    return cv2.imdecode(np.frombuffer(data, np.uint8), _AS_STORED), None


def _has_whole_segments(data: bytes) -> bool:
    """Returns whether the segments before the scan follow each other; OpenCV prints if not."""
    position = 2
    while data.startswith(b"\xff", position) and not data.startswith(_START_OF_SCAN, position):
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return data.startswith(_START_OF_SCAN, position)


def _ffmpeg_damage(data: bytes) -> str | None:
    """Finds coefficients beyond the end of a block, which libjpeg accepts.

    FFmpeg alone would not do: it accepts more data than the header states.
    """
    codec = av.CodecContext.create("mjpeg", "r")
    codec.thread_count = 1
    codec.options = {"err_detect": "explode", "lowres": "3"}  # 3: takes two thirds of the time
    try:
        codec.decode(Packet(data))
    except av.error.InvalidDataError:
        return "its coefficients are wrong"
    except av.error.FFmpegError:  # a kind of JPEG that FFmpeg does not know
        return None
    return None


def is_image(path: Path) -> bool:
    """Returns whether a file is an image, by its first bytes or else by its suffix."""
    try:
        header = image_headers.parse(read_start(path, image_headers.MAGIC_BYTES))
    except OSError:
        header = None
    return header is not None or path.suffix.lower() in IMAGE_SUFFIXES


def find_sources(path: Path) -> list[Path]:
    """Returns the file itself, or a folder's images and videos by suffix, sorted by name.

    Sub-folders and names that begin with a dot are left out. Raises SourceError if it does not
    exist, cannot be listed, or is a folder without images and videos.
    """
    with source_errors(path):
        path.stat()
        if path.is_file():
            return [path]
        if not path.is_dir():
            raise SourceError(path, "is neither a file nor a folder")
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        files = [file for file in files if not file.name.startswith(".") and file.is_file()]
    if not files:
        raise SourceError(path, "holds no images or videos")
    return files


def find_videos(sources: Iterable[Path]) -> Iterator[tuple[str, OSError | None]]:
    """Yields the paths of all video files, sorted, and what cannot be listed with its reason.

    Folders are searched recursively; names that begin with a dot and symlinks to folders are left
    out. The name of a file that is given itself may have any suffix.
    """
    for source in sources:
        if not source.is_dir():
            yield str(source), None
            continue
        failures: list[OSError] = []
        for folder, folders, names in os.walk(source, onerror=failures.append):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                is_video = Path(name).suffix.lower() in VIDEO_SUFFIXES
                if is_video and not name.startswith("."):
                    yield str(Path(folder, name)), None
        for failure in failures:
            yield failure.filename, failure
