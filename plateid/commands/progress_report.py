"""Shows progress on standard error: bars on a terminal, else a line every few seconds."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import click
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TaskID

T = TypeVar("T")
LINE_INTERVAL_S = 10.0
"""Interval between two lines in a log, seconds: few lines, but regular signs of life."""


class ProgressReport(Progress):
    """Reports the progress of nested loops; a context manager."""

    def __init__(self) -> None:
        terminal = sys.stderr.isatty()
        console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)
        super().__init__(
            *self.get_default_columns(),
            MofNCompleteColumn(),
            console=console,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),  # lines of results appear above the bars
            disable=not terminal,
        )
        self._ids: dict[str, TaskID] = {}
        self._next_line_at = float("inf") if terminal else time.monotonic() + LINE_INTERVAL_S

    def report(self, items: Iterable[T], name: str, total: int | None = None) -> Iterator[T]:
        """Yields the items and reports how many of the total are done."""
        try:
            for done, item in enumerate(items):
                self.show(name, done, total)
                yield item
        finally:
            if name in self._ids:
                self.remove_task(self._ids.pop(name))

    def show(self, name: str, done: float, total: float | None, about: str = "") -> None:
        """Reports how much is done of the total, which may be unknown (None)."""
        if name not in self._ids:
            self._ids[name] = self.add_task(name)
        self.update(self._ids[name], completed=done, total=total, description=f"{name}{about}")
        if time.monotonic() >= self._next_line_at:
            self._next_line_at = time.monotonic() + LINE_INTERVAL_S
            of_all = f" of {total:,.0f}" if total else ""
            click.echo(f"{name}: {done:,.0f}{of_all} done{about}", err=True)
