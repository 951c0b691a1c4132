"""Is the system clock set by a time service?"""

import ctypes

TIME_ERROR = 5
TIMEX_BYTES = 256
"""`struct timex` has 208 bytes on 64-bit Linux."""


def clock_synced() -> bool:
    """Asks the kernel (adjtimex(2)): False while nobody has disciplined its clock."""
    state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    return state != TIME_ERROR
