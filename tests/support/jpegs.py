"""JPEG files that OpenCV does not write."""

import struct
from collections.abc import Sequence


def flat_jpeg(
    side: int, components: Sequence[tuple[int, Sequence[int]]], adobe: bytes = b""
) -> bytes:
    """Returns a square JPEG of one MCU.

    Each component has its sampling factors (0x21: two across, one down) and the grey levels (0-255)
    of its blocks.
    """
    bits = ""
    for _, levels in components:
        before = 0
        for level in levels:  # the DC coefficient is all there is; its code is its length, 4 bits
            value = 8 * (level - 128) - before
            before += value
            size = abs(value).bit_length()
            low = value if value > 0 else value + (1 << size) - 1
            bits += f"{size:04b}" + (f"{low:0{size}b}" if size else "") + "0"
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    count = bytes([len(components)])
    frame = b"".join(bytes([i, sampling, 0]) for i, (sampling, _) in enumerate(components))
    return (
        b"\xff\xd8"
        + (_segment(0xEE, adobe) if adobe else b"")
        + _segment(0xDB, b"\0" + b"\1" * 64)
        + _segment(0xC0, struct.pack(">BHH", 8, side, side) + count + frame)
        + _segment(0xC4, b"\0" + bytes([0, 0, 0, 12] + [0] * 12) + bytes(range(12)))
        + _segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\0")
        + _segment(
            0xDA, count + bytes(n for i in range(len(components)) for n in (i, 0)) + b"\0?\0"
        )
        + scan
        + b"\xff\xd9"
    )


def _segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data
