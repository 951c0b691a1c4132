"""Whether a time service sets the system clock."""

import ctypes

TIME_ERROR = 5
"""Result of adjtimex(2) for a clock that is not synchronised."""
TIMEX_BYTES = 256
"""Buffer for `struct timex`, which has 208 bytes on 64-bit Linux."""


def clock_synced() -> bool | None:
    """Returns whether the kernel's clock is synchronised; None if adjtimex(2) is forbidden."""
    state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    return None if state < 0 else state != TIME_ERROR
