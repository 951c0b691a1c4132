"""Trains one network in several processes, each with its own batches and one thread.

On a busy machine this is several times as fast as one process with several threads, because
threads wait for each other within every layer.
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
from plateid.files import write_whole
from train.train_error import TrainError


def run_in_processes(count: int, work: Callable[[Any], None], argument: Any) -> None:
    """Calls `work(argument)` in `count` processes; raises TrainError if one of them does."""
    with tempfile.TemporaryDirectory(prefix="plateid-train-") as folder:
        error_file = Path(folder) / "error"
        try:
            torch.multiprocessing.spawn(_process, ((count, folder), work, argument), nprocs=count)
        except ProcessException as error:
            if error_file.is_file():
                raise TrainError(error_file.read_text()) from error
            raise


def _process(rank: int, group: tuple[int, str], work: Callable[[Any], None], argument: Any) -> None:
    torch.set_num_threads(1)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # started by a shell's `&`
        parent = os.getppid()  # torch sends SIGINT when the parent has ended
        signal.signal(signal.SIGINT, lambda *_: None if os.getppid() == parent else sys.exit(1))
    count, folder = group
    rendezvous = f"file://{folder}/rendezvous"
    distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=count)
    try:
        work(argument)
    except (TrainError, PlateidError, OSError) as error:
        write_whole(Path(folder) / "error", str(error).encode())
        raise
    sys.stdout.flush()
    os._exit(0)  # a gloo thread that frees a tensor while Python exits would abort the process


def rank() -> int:
    """Returns the number of this process. Process 0 saves the checkpoint and the record."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def data_parallel(network: nn.Module) -> nn.Module:
    """Returns the network, with gradients averaged over all processes."""
    return DistributedDataParallel(network) if distributed.is_initialized() else network


def broadcast(value: float) -> float:
    """Returns process 0's value in every process."""
    if not distributed.is_initialized():
        return value
    shared = torch.tensor([value], dtype=torch.float64)
    distributed.broadcast(shared, 0)
    return float(shared)
