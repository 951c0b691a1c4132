"""Options and helpers that several training commands share."""

from pathlib import Path

import click

from plateid.config.models import bundle_path

FOLDER = click.Path(path_type=Path)
COUNT = click.IntRange(min=1)
SIDE = click.IntRange(min=32)
SHARE = click.FloatRange(0, 1)


def to_bundle(text: str | Path) -> Path:
    """Returns the folder of a bundle, given by its name or its path."""
    return Path(bundle_path(text))


def example(arguments: str) -> str:
    """Returns the last paragraph of a command's help."""
    return f"\b\nExample:\n  python -m train {arguments}"


DATA = click.option(
    "--data", multiple=True, required=True, help="Folder of labelled images; repeatable."
)
SEED = click.option("--seed", default=0, help="Seed of all random numbers.")
