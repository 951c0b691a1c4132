"""Reads the size and completeness of an image file without decoding it."""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

MAGIC_BYTES = 32
"""Number of bytes that identify an image format."""


@dataclass(frozen=True)
class Header:
    """The size in pixels before Exif rotation, and whether the file has its end marker."""

    width: int
    height: int
    complete: bool


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
    position = 2
    while data[position + 1] not in _START_OF_FRAME:
        if data[position] != _FILL_BYTE or data[position + 1] == _START_OF_SCAN:
            return Header(0, 0, complete=False)
        filler = data[position + 1] == _FILL_BYTE
        position += 1 if filler else 2 + struct.unpack_from(">H", data, position + 2)[0]
    height, width = struct.unpack_from(">HH", data, position + 5)
    return Header(width, height, complete=data.find(b"\xff\xd9", position) > 0)


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
    """Parses the first image file directory."""
    order = "<" if data[:2] == b"II" else ">"
    start = struct.unpack_from(f"{order}I", data, 4)[0]
    sides = {_IMAGE_WIDTH: 0, _IMAGE_LENGTH: 0}
    for entry in range(struct.unpack_from(f"{order}H", data, start)[0]):
        position = start + 2 + 12 * entry
        tag, kind = struct.unpack_from(f"{order}HH", data, position)
        if tag in sides:
            number = "H" if kind == _SHORT else "I"
            sides[tag] = struct.unpack_from(f"{order}{number}", data, position + 8)[0]
    return Header(sides[_IMAGE_WIDTH], sides[_IMAGE_LENGTH], complete=True)


_OS2_HEADER = 12
"""Size of the oldest BMP header, which has sides of 16 bits, bytes."""
_IMAGE_WIDTH, _IMAGE_LENGTH = 256, 257
"""TIFF tags of the image's sides."""
_SHORT = 3
"""TIFF type of a 16-bit number."""
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
