"""Limits of login attempts: wrong passwords are counted, and password checks queue up."""

import asyncio
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from plateid.http_server import network_of

FREE_ATTEMPTS = 5
"""Wrong passwords for an account that an address may try without waiting."""
NETWORK_ATTEMPTS = 50
"""The same for an IPv6 network: one host can own a /64, but a whole LAN can share it."""
RETRY_S = 60.0
"""Wait between two attempts after that, seconds."""
FORGET_S = 3600.0
"""Time after the last wrong password at which the count starts anew, seconds."""
MAX_COUNTERS = 8192
"""Maximum number of counters, about 2 MB; beyond it, the oldest go. One thread checks some twenty
passwords a second, so a counter lives longer than `RETRY_S` whatever addresses a client has."""
MAX_WAITING = 60
"""Maximum number of password checks that wait, a few seconds of work. An address with n waiting
checks may use only 1 / (n + 1) of it, so there is room for an address that has none."""
BUSY_S = 5.0
"""Wait before another attempt if too many checks wait, seconds."""
Result = TypeVar("Result")


class LoginError(Exception):
    """A login was refused: the password is wrong, or was not checked until `wait_s` has passed."""

    def __init__(self, wait_s: float = 0.0) -> None:
        super().__init__(f"wait {wait_s:.0f} s" if wait_s else "wrong password")
        self.wait_s = math.ceil(wait_s)


class LoginThrottle:
    """Counts wrong passwords per account and address. It belongs to one thread at a time."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def wait_s(self, account: str, address: str) -> float:
        """Returns how long an address must wait before it may try a password of an account."""
        now = time.monotonic()
        waits = [0.0]
        for key, allowed in _keys(account, address):
            at, count = self._failures.get(key, (0.0, 0))
            if count >= allowed:
                waits.append(at + RETRY_S - now)
        return max(waits)

    def fail(self, account: str, address: str) -> None:
        """Counts a wrong password."""
        now = time.monotonic()
        for key, _ in _keys(account, address):
            at, count = self._failures.pop(key, (now, 0))
            self._failures[key] = now, count + 1 if now - at < FORGET_S else 1
        while len(self._failures) > MAX_COUNTERS:
            self._failures.popitem(last=False)

    def forgive(self, account: str, address: str) -> None:
        """Forgets the wrong passwords of an address for this account only."""
        self._failures.pop((account, address), None)


def _keys(account: str, address: str) -> Iterator[tuple[tuple[str, str], int]]:
    yield (account, address), FREE_ATTEMPTS
    if (network := network_of(address)) != address:
        yield (account, network), NETWORK_ATTEMPTS


class LoginQueue:
    """Runs password checks one after another in a thread, which takes half a core at most.

    It is always the same thread: the C library gives each thread another heap, and 19 MiB would
    stay in each of them.
    """

    def __init__(self) -> None:
        self._waiting: Counter[str] = Counter()
        self._thread = ThreadPoolExecutor(1, "login")
        self._spent_s = 0.0

    def close(self) -> None:
        """Ends the thread; checks that wait are cancelled."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def run(self, check: Callable[[], Result], address: str) -> Result:
        """Returns the result of `check`; raises LoginError if too many checks wait."""
        if self._waiting.total() >= MAX_WAITING // (1 + self._waiting[address]):
            raise LoginError(BUSY_S)
        self._waiting[address] += 1
        try:
            done = asyncio.get_running_loop().run_in_executor(self._thread, self._timed, check)
            self._thread.submit(lambda: time.sleep(self._spent_s))
            return await done
        finally:
            self._waiting -= Counter((address,))  # drops zeros

    def _timed(self, check: Callable[[], Result]) -> Result:
        """Calls `check` and keeps its CPU time, for which the thread then rests."""
        started = time.thread_time()
        try:
            return check()
        finally:
            self._spent_s = time.thread_time() - started
