"""What the machine that trains can do, and who trains on it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from train.train_error import TrainError


def computes_bfloat16() -> bool:
    """Whether oneDNN has kernels for it on this CPU; else torch's own are slower than float32."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001 - as inductor asks


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Makes a folder, and keeps other runs out of it.

    Raises:
        TrainError: There is one.
        OSError: It cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TrainError(f"--out {folder}: a run is at work in it") from error
        yield
        fcntl.flock(place, fcntl.LOCK_UN)  # workers that were forked have it, too
    finally:
        os.close(place)
