"""Detects damage in PNG images, and mends them so that OpenCV decodes what is left (RFC 2083)."""

import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, starmap

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"eXIf"}
"""Chunks beside IDAT that the pixels depend on. libpng prints warnings about some others."""
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Channels by colour type: grey, RGB, palette, grey with alpha, RGB with alpha."""
_DEPTHS = {0: {1, 2, 4, 8, 16}, 3: {1, 2, 4, 8}}
"""Bits of a channel by colour type; all others have 8 or 16."""
_COLOUR, _PALETTE = 9, 3
"""Position of the colour type in the header, and the type of a palette."""
_WHOLE = ((0, 0, 1, 1),)
_ADAM7 = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
"""Passes of an interlaced image: first column, first row, column step, row step."""
_FILTERS = 5
"""Number of row filters; libpng stops at a row with another one."""
_MAX_BYTES = 520_000_000
"""Largest uncompressed image that is decoded: 128 million pixels of 4 bytes and their filters."""
_MAX_LOSS = 8
"""Largest ratio of an image's size to its decompressed bytes. Beyond it, the image is refused: it
would take memory for few pixels."""
_PIECE_BYTES = 1024
"""Number of bytes that are decompressed at once. A damaged image loses no more readable bytes."""


def mend_png(data: bytes) -> tuple[bytes | None, str | None]:
    """Returns a valid PNG of the same pixels, and what is damaged in `data`, if anything is.

    Its pixels after the damage are black or wrong. It is None if almost nothing is left.
    """
    chunks = list(_chunks(data))
    damage = None if all(intact for *_, intact in chunks) else "its checksum is wrong"
    kept = {kind: content for kind, content, intact in chunks if kind in _KEPT and intact}
    header = kept.get(b"IHDR", b"")
    shapes = list(_row_shapes(header))
    if not shapes or (header[_COLOUR] == _PALETTE and b"PLTE" not in kept):
        return None, damage or "its header is wrong"
    size = sum(count * length for count, length in shapes)
    if size > _MAX_BYTES:
        return None, f"its pixels take {size:,} bytes, more than {_MAX_BYTES:,}"
    pixels = _inflated(b"".join(content for kind, content, _ in chunks if kind == b"IDAT"), size)
    if len(pixels) != size:
        damage = damage or "its header states another size than its pixels have"
    if len(pixels) * _MAX_LOSS < size:
        return None, damage
    pixels[size:] = bytes(max(0, size - len(pixels)))
    if _clears_filters(pixels, shapes):
        damage = damage or "its pixels are wrong"
    kept |= {b"IDAT": zlib.compress(pixels, 0), b"IEND": b""}
    pixels.clear()  # of a large image, two copies are enough
    return b"".join([SIGNATURE, *chain.from_iterable(starmap(_parts, kept.items()))]), damage


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yields the kind and content of each chunk up to IEND, and whether its checksum is right."""
    position, kind = len(SIGNATURE), b""
    while position < len(data) and kind != b"IEND":
        end = position + 8 + int.from_bytes(data[position : position + 4], "big")
        kind, content = data[position + 4 : position + 8], data[position + 8 : end]
        yield kind, content, data[end : end + 4] == _checksum(kind, content)
        position = end + 4


def _parts(kind: bytes, content: bytes) -> tuple[bytes, ...]:
    return len(content).to_bytes(4, "big"), kind, content, _checksum(kind, content)


def _checksum(kind: bytes, content: bytes) -> bytes:
    return zlib.crc32(content, zlib.crc32(kind)).to_bytes(4, "big")


def _row_shapes(header: bytes) -> Iterator[tuple[int, int]]:
    """Yields the number and the bytes of the rows of each pass; none for a wrong header."""
    width, height = (int.from_bytes(header[i : i + 4], "big") for i in (0, 4))
    depth, colour, *methods, interlaced = header[8:13].ljust(5, b"\xff")
    if any(methods) or interlaced > 1 or depth not in _DEPTHS.get(colour, {8, 16}):
        return
    for left, top, step_x, step_y in _ADAM7 if interlaced else _WHOLE:
        columns, rows = -((left - width) // step_x), -((top - height) // step_y)
        if columns > 0 and rows > 0:
            yield rows, 1 + (columns * depth * _CHANNELS[colour] + 7) // 8


def _inflated(packed: bytes, size: int) -> bytearray:
    """Decompresses up to an error, or until more than `size` bytes are found."""
    inflate, found = zlib.decompressobj(), bytearray()
    with suppress(zlib.error):
        for start in range(0, len(packed), _PIECE_BYTES):
            found += inflate.decompress(packed[start : start + _PIECE_BYTES])
            if len(found) > size:
                break
    return found


def _clears_filters(pixels: bytearray, shapes: Iterable[tuple[int, int]]) -> bool:
    """Sets unknown row filters to none; returns whether there were any."""
    start, found = 0, False
    for count, length in shapes:
        rows = np.frombuffer(pixels, np.uint8, count * length, start).reshape(count, length)
        unknown = rows[:, 0] >= _FILTERS
        rows[unknown, 0] = 0
        found |= bool(unknown.any())
        start += count * length
    return found
