"""What the training commands report as one line."""


class TrainError(Exception):
    """Bad data, a bad option or a wrong model; the message names the thing and the reason."""
