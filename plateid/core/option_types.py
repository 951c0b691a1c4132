"""Checks of values on the command line."""

import math
from pathlib import Path
from typing import Any

import click


class FilePath(click.Path):
    """A path on the command line; an empty one would be the current directory."""

    def __init__(self, path_type: type[Path | str] = Path) -> None:
        super().__init__(path_type=path_type)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuses an empty path."""
        if value == "":
            self.fail("must not be empty", param, ctx)
        return super().convert(value, param, ctx)


def not_empty(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """Refuses an empty name of a bundle, which would be the current directory."""
    if text == "":
        raise click.BadParameter("must not be empty")
    return text


def not_nan(
    _context: click.Context, _parameter: click.Parameter, number: float | None
) -> float | None:
    """Refuses NaN, which click takes for a number of any range."""
    if number is not None and math.isnan(number):
        raise click.BadParameter("is not a number")
    return number
