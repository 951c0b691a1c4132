"""Is the system clock set by a time service?"""

import ctypes

TIME_ERROR = 5
TIMEX_BYTES = 256
"""`struct timex` has 208 bytes on 64-bit Linux."""


def clock_synced() -> bool | None:
    """Asks the kernel (adjtimex(2)): False while nobody has disciplined its clock.

    None when the kernel does not say, as in a sandbox that forbids the question.
    """
    state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    return None if state < 0 else state != TIME_ERROR
