"""Progress of a long step: a bar on a terminal, a plain line now and then elsewhere."""

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress, track

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


def timed(
    items: Iterable[Item], title: str, total_s: float, *, least: float = math.inf
) -> Iterator[Item]:
    """Yields items, and shows how much of a step's time has passed, and how much is left.

    After that time, it ends once it has yielded the least number.
    """
    console, began = Console(stderr=True), time.monotonic()
    is_due = interval_passed(INTERVAL_S)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total_s)
        for count, item in enumerate(items, 1):
            yield item
            passed_s = time.monotonic() - began
            if count >= least and passed_s > total_s:
                return
            bar.update(task, completed=passed_s)
            if not console.is_terminal and is_due():
                left_min = max(0.0, total_s - passed_s) / 60
                print(f"{title}: {left_min:.1f} min left", file=sys.stderr, flush=True)


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
