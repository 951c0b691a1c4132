"""Identifiers that sort by time (UUID version 7)."""

import os
import time
import uuid


def first_id(moment: float) -> str:
    """Returns a lower bound of the UUIDs that are made at `moment` (`time.time()`) or later."""
    digits = f"{max(0, int(moment * 1000)):012x}"
    return f"{digits[:8]}-{digits[8:]}"


def uuid7() -> str:
    """Returns a UUID version 7 (RFC 9562, section 5.7): Unix milliseconds, then random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | (0x7 << 76)
    value = value & ~(0x3 << 62) | (0x2 << 62)
    return str(uuid.UUID(int=value))
