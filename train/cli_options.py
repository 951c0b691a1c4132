"""Options and helpers that several training commands share."""

import math
from pathlib import Path
from typing import Any

import click

from plateid.config.models import bundle_path


class Folder(click.Path):
    """A path on the command line; an empty one would be the current directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuses an empty path."""
        if value == "":
            self.fail("must not be empty", param, ctx)
        return super().convert(value, param, ctx)


class Share(click.FloatRange):
    """A number from 0 to 1; click takes NaN for one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuses NaN."""
        share = super().convert(value, param, ctx)
        if math.isnan(share):
            self.fail("is not a number", param, ctx)
        return share


FOLDER = Folder(path_type=Path)
COUNT = click.IntRange(min=1)
SIDE = click.IntRange(min=32)
SHARE = Share(0, 1)


def to_bundle(text: str | Path) -> Path:
    """Returns the folder of a bundle, given by its name or its path."""
    if text == "":
        raise click.BadParameter("must not be empty")
    return Path(bundle_path(text))


def example(arguments: str) -> str:
    """Returns the last paragraph of a command's help."""
    return f"\b\nExample:\n  python -m train {arguments}"


DATA = click.option(
    "--data",
    type=Folder(),
    multiple=True,
    required=True,
    help="Folder of labelled images; repeatable.",
)
SEED = click.option("--seed", default=0, help="Seed of all random numbers.")
