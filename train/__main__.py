"""`python -m train`: a command for each step from labelled images to a bundle."""

import sys

import click

from plateid.errors import PlateidError
from train.bundle_commands import evaluate, export, latency, street, tracks
from train.sweep import sweep
from train.train_error import TrainError
from train.training_commands import curve, detector, learn, reader, synth


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    epilog="train/README.md explains each step; train/recipes/ has the shipped bundles' commands.",
)
def main() -> None:
    """Trains plateid's networks on your images and exports them as a bundle."""


for command in (
    *(learn, synth, detector, reader, curve, sweep, export, evaluate, latency, street, tracks),
):
    main.add_command(command)


if __name__ == "__main__":
    try:
        main()
    except (TrainError, PlateidError) as error:
        click.echo(error, err=True)
        sys.exit(1)
