"""The errors that the training commands report in one line."""

import click


class TrainError(Exception):
    """Bad data, a bad option or an unusable model; the message names it and the reason."""


class BadInputError(click.ClickException):
    """The same, with exit code 2."""

    exit_code = 2
