"""Options and helpers that several training commands share."""

from functools import partial
from pathlib import Path

import click

from plateid.config.models import bundle_path
from plateid.core.option_types import FilePath

FOLDER = FilePath()
COUNT = click.IntRange(min=1)
SIDE = click.IntRange(min=32)
repeatable = partial(click.option, multiple=True)


def to_bundle(text: str | Path) -> Path:
    """Returns the folder of a bundle, given by its name or its path."""
    if text == "":
        raise click.BadParameter("must not be empty")
    return Path(bundle_path(text))


def example(arguments: str) -> str:
    """Returns the last paragraph of a command's help."""
    return f"\b\nExample:\n  python -m train {arguments}"


DATA = repeatable(
    "--data", type=FilePath(str), required=True, help="Folder of labelled images; repeatable."
)
SEED = click.option("--seed", default=0, help="Seed of all random numbers.")
