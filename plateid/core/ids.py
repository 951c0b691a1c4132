"""Identifiers that sort by time."""

import os
import time
import uuid


def first_id(moment: float) -> str:
    """No UUID version 7 of this `time.time()` or later sorts before it."""
    digits = f"{max(0, int(moment * 1000)):012x}"
    return f"{digits[:8]}-{digits[8:]}"


def uuid7() -> str:
    """A UUID version 7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, the rest random."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | (0x7 << 76)
    value = value & ~(0x3 << 62) | (0x2 << 62)
    return str(uuid.UUID(int=value))
