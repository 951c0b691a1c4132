"""Reads the size and completeness of an image file without decoding it."""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

MAGIC_BYTES = 32
"""Number of bytes that identify an image format."""
UPRIGHT = 1
"""Exif orientation of an image whose pixels are upright."""


@dataclass(frozen=True)
class Header:
    """The size in pixels before Exif rotation, and whether the file has all its bytes."""

    width: int
    height: int
    complete: bool
    orientation: int = UPRIGHT
    """Exif orientation (1-8) of a JPEG; OpenCV applies that of other formats."""


def parse(data: bytes) -> Header | None:
    """Parses a file or its first MAGIC_BYTES; None if it is not JPEG, PNG, WebP, BMP or TIFF."""
    for magic, parser in _PARSERS.items():
        if magic.match(data):
            try:
                return parser(data)
            except (struct.error, IndexError):  # the file ends inside its header
                return Header(0, 0, complete=False)
    return None


def _jpeg(data: bytes) -> Header:
    """Skips segments up to the frame header: an earlier end marker belongs to an Exif thumbnail."""
    position, orientation = 2, 0
    while data[position + 1] not in _START_OF_FRAME:
        if data[position] != _FILL_BYTE or data[position + 1] == _START_OF_SCAN:
            return Header(0, 0, complete=False)
        filler = data[position + 1] == _FILL_BYTE
        length = 1 if filler else 2 + struct.unpack_from(">H", data, position + 2)[0]
        segment = data[position + 4 : position + length]
        if not orientation and segment.startswith(_EXIF):
            orientation = _orientation(segment.removeprefix(_EXIF))
        position += length
    height, width = struct.unpack_from(">HH", data, position + 5)
    complete = data.find(b"\xff\xd9", position) > 0
    return Header(width, height, complete, orientation or UPRIGHT)


def _orientation(tiff: bytes) -> int:
    try:
        return _tiff_tags(tiff).get(_ORIENTATION, (UPRIGHT,))[0]
    except (struct.error, IndexError):
        return UPRIGHT


def _png(data: bytes) -> Header:
    width, height = struct.unpack_from(">II", data, 16)
    return Header(width, height, complete=b"IEND\xaeB`\x82" in data)


def _webp(data: bytes) -> Header:
    """Parses a lossy (VP8), lossless (VP8L) or extended (VP8X) image (RFC 9649)."""
    complete = len(data) >= 8 + struct.unpack_from("<I", data, 4)[0]
    if data[15:16] == b"X":
        low, high, low_height, high_height = struct.unpack_from("<HBHB", data, 24)
        return Header(1 + low + (high << 16), 1 + low_height + (high_height << 16), complete)
    if data[15:16] == b"L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return Header(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), complete)
    width, height = struct.unpack_from("<HH", data, 26)
    return Header(width & 0x3FFF, height & 0x3FFF, complete)


def _bmp(data: bytes) -> Header:
    """Parses both header versions; a negative height means top-down rows."""
    file_size, header_size = struct.unpack_from("<2xI8xI", data)
    width, height = struct.unpack_from("<HH" if header_size == _OS2_HEADER else "<ii", data, 18)
    return Header(width, abs(height), complete=len(data) >= file_size)


def _tiff(data: bytes) -> Header:
    """Parses the first image, which is complete if all its strips or tiles are in the file."""
    tags = _tiff_tags(data)
    complete = all(
        start + size <= len(data)
        for starts, sizes in _TIFF_PARTS
        for start, size in zip(tags.get(starts, ()), tags.get(sizes, ()), strict=False)
    )
    width, height = (tags.get(tag, (0,))[0] for tag in (_IMAGE_WIDTH, _IMAGE_LENGTH))
    return Header(width, height, complete)


def _tiff_tags(data: bytes) -> dict[int, tuple[int, ...]]:
    """Returns the whole numbers of the first image file directory by tag (TIFF 6.0)."""
    order = "<" if data[:2] == b"II" else ">"
    start, tags = struct.unpack_from(f"{order}I", data, 4)[0], {}
    for entry in range(struct.unpack_from(f"{order}H", data, start)[0]):
        position = start + 2 + 12 * entry
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, position)
        if tag in _TIFF_TAGS and kind in _TIFF_NUMBERS:
            form = f"{order}{count}{_TIFF_NUMBERS[kind]}"
            place = position + _TIFF_VALUE
            if struct.calcsize(form) > _TIFF_VALUE_BYTES:
                place = struct.unpack_from(f"{order}I", data, place)[0]
            tags[tag] = struct.unpack_from(form, data, place)
    return tags


_OS2_HEADER = 12
"""Size of the oldest BMP header, which has sides of 16 bits, bytes."""
_IMAGE_WIDTH, _IMAGE_LENGTH, _ORIENTATION = 256, 257, 274
_TIFF_PARTS = ((273, 279), (324, 325))
"""TIFF tags of the positions and sizes of the image's strips and tiles, bytes."""
_TIFF_TAGS = {_IMAGE_WIDTH, _IMAGE_LENGTH, _ORIENTATION, *sum(_TIFF_PARTS, ())}
_TIFF_VALUE, _TIFF_VALUE_BYTES = 8, 4
"""Position and size of the value in an entry of a TIFF directory, bytes. Longer values are
elsewhere in the file."""
_TIFF_NUMBERS = {3: "H", 4: "I"}
"""Formats of whole numbers by TIFF type."""
_EXIF = b"Exif\0\0"
"""First bytes of a JPEG segment that holds Exif data, after its length."""
_FILL_BYTE = 0xFF
"""JPEG byte that starts a marker, and may be repeated before it."""
_START_OF_SCAN = 0xDA
"""JPEG marker after which the compressed image follows."""
_START_OF_FRAME = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
"""JPEG markers of a segment with the image's sides."""
_PARSERS: dict[re.Pattern[bytes], Callable[[bytes], Header]] = {
    re.compile(rb"\xff\xd8\xff"): _jpeg,
    re.compile(rb"\x89PNG\r\n\x1a\n"): _png,
    re.compile(rb"RIFF....WEBPVP8[ LX]", re.DOTALL): _webp,
    re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL): _bmp,
    re.compile(rb"II\*\0|MM\0\*"): _tiff,
}
"""Parsers of the header by magic bytes."""
