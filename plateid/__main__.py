"""The entry point of `plateid` and `python -m plateid`."""

import os
import signal
import sys
import threading

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that `plateid run` handles. They wait until it can: a busy device imports for seconds."""


def entry() -> None:
    """Runs the command line, and ends the process even if a thread is blocked in a library.

    A camera that does not respond blocks its thread in FFmpeg for up to a minute. Python would
    destroy the libraries' data while that thread runs, and crash: so it does not get to that.
    """
    if sys.argv[1:2] == ["run"]:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    _open_closed_streams()
    from plateid.commands.main import main  # noqa: PLC0415 - slow to load: signals wait before it

    try:
        main(prog_name="plateid")
    except SystemExit as end:
        if threading.active_count() == 1:
            raise
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))


def _open_closed_streams() -> None:
    """Opens the standard streams that are closed: the next file opened would take their place.

    To write to a closed standard output stays an error. Messages for a closed standard error are
    lost.
    """
    modes = {"stdin": os.O_RDONLY, "stdout": os.O_RDONLY, "stderr": os.O_WRONLY}
    for number, (name, mode) in enumerate(modes.items()):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, mode)
            if opened != number:
                os.dup2(opened, number)
            stream = open(number, "w" if number else "r", encoding="utf-8")  # noqa: SIM115, PTH123
            setattr(sys, name, stream)


if __name__ == "__main__":
    entry()
