"""The entry point of `plateid` and `python -m plateid`."""

import os
import sys
import threading

from plateid.commands.main import main


def entry() -> None:
    """Runs the command line, and ends the process even if a thread is blocked in a library.

    A camera that does not respond blocks its thread in FFmpeg for up to a minute. Python would
    destroy the libraries' data while that thread runs, and crash: so it does not get to that.
    """
    try:
        main(prog_name="plateid")
    except SystemExit as end:
        if threading.active_count() == 1:
            raise
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))


if __name__ == "__main__":
    entry()
