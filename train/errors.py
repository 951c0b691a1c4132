"""What the training commands report as one line."""


class TrainError(Exception):
    """Bad data, a bad option or a model that does not fit; the message names the thing and the reason."""
