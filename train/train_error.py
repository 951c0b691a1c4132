"""The errors that the training commands report in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from plateid.errors import reason_of

RESUME = "; run the same command again to resume"
"""Hint in the error of a run that failed while it wrote a file."""


class TrainError(Exception):
    """Bad data, a bad option or an unusable model; the message names it and the reason."""


class BadInputError(click.ClickException):
    """The same, with exit code 2."""

    exit_code = 2


@contextmanager
def os_errors(subject: object = None, hint: str = "") -> Iterator[None]:
    """Turns an OSError into a TrainError that names the subject, or by default the file."""
    try:
        yield
    except OSError as error:
        raise TrainError(f"{subject or error.filename}: {reason_of(error)}{hint}") from error
