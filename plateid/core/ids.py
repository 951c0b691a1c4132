"""Identifiers that sort by time (UUID version 7)."""

import os
import secrets
import threading
import time
import uuid

_lock = threading.Lock()
_last = 0


def first_id(moment: float) -> str:
    """Returns a lower bound of the UUIDs that are made at `moment` (`time.time()`) or later."""
    digits = f"{max(0, int(moment * 1000)):012x}"
    return f"{digits[:8]}-{digits[8:]}"


def uuid7() -> str:
    """Returns a UUID version 7 (RFC 9562, section 5.7): Unix milliseconds, then random bits.

    It is greater than the last one of the process. While the system clock is behind, ids count
    on from the last one (section 6.2, method 2).
    """
    global _last  # noqa: PLW0603 - as in the `uuid` module of Python 3.14
    milliseconds = time.time_ns() // 1_000_000
    value = int(uuid7_of(milliseconds, os.urandom(10)))
    with _lock:
        _last = value if value > _last else _last + 1 + secrets.randbits(32)
        return str(uuid.UUID(int=_last))


def uuid7_of(milliseconds: int, random: bytes) -> uuid.UUID:
    """Returns the UUID version 7 of a Unix time and ten bytes, of which it has 74 bits."""
    value = (milliseconds << 80) | int.from_bytes(random)
    value = value & ~(0xF << 76) | (0x7 << 76)
    return uuid.UUID(int=value & ~(0x3 << 62) | (0x2 << 62))
