"""The training machine: its number formats, and locks on the folders of runs."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from train.train_error import TrainError


def computes_bfloat16() -> bool:
    """Whether this CPU has oneDNN kernels for bfloat16; torch's own are slower than float32."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001 - as inductor asks


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Creates a folder and locks it; raises TrainError if another run has locked it."""
    folder.mkdir(parents=True, exist_ok=True)
    place = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(place)
        raise TrainError(f"--out {folder}: another run is using it") from error
    try:
        yield
    finally:
        fcntl.flock(place, fcntl.LOCK_UN)  # forked workers hold it as well
        os.close(place)
