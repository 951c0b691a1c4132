"""The error that the training commands report in one line."""


class TrainError(Exception):
    """Bad data, a bad option or an unusable model; the message names it and the reason."""
