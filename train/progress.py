"""Progress of a long step: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import track

INTERVAL_S = 30.0
"""Shortest time between two plain lines, seconds."""
Item = TypeVar("Item")


def tracked(items: Iterable[Item], title: str, *, total: int | None = None) -> Iterator[Item]:
    """Yields the items and shows on standard error how many are done."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    console = Console(stderr=True)
    if console.is_terminal:
        yield from track(items, title, total=total, console=console, transient=True)
        return
    is_due = interval_passed(INTERVAL_S)
    for count, item in enumerate(items, 1):
        yield item
        if is_due():
            of_all = f" of {total}" if total else ""
            print(f"{title}: {count}{of_all}", file=sys.stderr, flush=True)


def interval_passed(interval_s: float) -> Callable[[], bool]:
    """Returns a function that says True at most once in each interval."""
    last = time.monotonic()

    def is_due() -> bool:
        nonlocal last
        now = time.monotonic()
        if now - last < interval_s:
            return False
        last = now
        return True

    return is_due
