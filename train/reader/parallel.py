"""One training in several processes, each with its own batches and one thread.

On a busy box this is several times as fast as one process with several threads, which wait for each
other within every layer.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from torch.multiprocessing.spawn import ProcessException
from torch.nn.parallel import DistributedDataParallel

from plateid.errors import PlateidError
from train.record import write_whole
from train.train_error import TrainError


def in_processes(count: int, work: Callable[[Any], None], argument: Any) -> None:
    """Calls `work(argument)` in `count` processes.

    Raises:
        TrainError: One of them did, or met bad input or a full disk.
    """
    with tempfile.TemporaryDirectory(prefix="plateid-train-") as folder:
        said = Path(folder) / "error"
        try:
            torch.multiprocessing.spawn(  # type: ignore[no-untyped-call]
                _process, ((count, folder), work, argument), nprocs=count
            )
        except ProcessException as error:
            if said.is_file():
                raise TrainError(said.read_text()) from error
            raise


def _process(rank: int, place: tuple[int, str], work: Callable[[Any], None], argument: Any) -> None:
    torch.set_num_threads(1)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell's `&`
        parent = os.getppid()  # torch sends SIGINT when it is gone
        signal.signal(signal.SIGINT, lambda *_: None if os.getppid() == parent else sys.exit(1))
    count, folder = place
    meeting = f"file://{folder}/meeting"
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=count)
    try:
        work(argument)
    except (TrainError, PlateidError, OSError) as error:
        write_whole(Path(folder) / "error", str(error))
        raise
    sys.stdout.flush()
    os._exit(0)  # while Python ends, a thread of gloo that lets go of a tensor aborts the process


def rank() -> int:
    """The number of this process; 0 is the one that keeps the records."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def shared(network: nn.Module) -> nn.Module:
    """The network, with gradients that are averaged over all processes."""
    return DistributedDataParallel(network) if distributed.is_initialized() else network


def agreed(value: float) -> float:
    """What process 0 says."""
    if not distributed.is_initialized():
        return value
    told = torch.tensor([value], dtype=torch.float64)
    distributed.broadcast(told, 0)
    return float(told)
