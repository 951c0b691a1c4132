"""One training run of a reader: its options, and its record."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from plateid.config.models import bundle_path
from plateid.files import write_whole
from train.machine import alone_in
from train.reader.batches import Mix, batches
from train.reader.held_out_accuracy import accuracy_by_source
from train.reader.plate_groups import in_groups
from train.reader.platenet import PlateNet
from train.reader.processes import rank, run_in_processes
from train.reader.reader_weights import SPEC, load_base
from train.reader.real_plates import RealPlate, read_plates
from train.reader.training_loop import Training
from train.record import begin
from train.synth.crop_database import CropDatabase
from train.train_error import RESUME, TrainError, os_errors


@dataclass(frozen=True)
class ReaderRun:
    """Configuration, command line (see `train reader --help`) and record of one run."""

    data: tuple[str, ...]
    out: str
    store: Path | None = None
    base: Path | None = None
    minutes: float = 60.0
    batch: int = 64  # of each process
    lr: float = 1e-3
    real: float = 0.2
    seed: int = 0
    processes: int = 1
    without: tuple[str, ...] = ()  # groups of plates that are not trained on


def train_reader(run: ReaderRun) -> dict[str, Any]:
    """Trains for `minutes`, from the last checkpoint if there is one. Returns `run.json`.

    Raises TrainError if the data, a number or a checkpoint cannot be used, the folder holds a run
    with other options (only `minutes` may differ), the loss is not finite, or the disk is full.
    """
    for name, value in (("minutes", run.minutes), ("lr", run.lr)):
        if not value > 0:  # false for nan, too
            raise TrainError(f"--{name} {value}: must be more than 0")
    with os_errors(run.out, RESUME), alone_in(Path(run.out)):
        if run.processes > 1:
            run_in_processes(run.processes, _train, run)
        else:
            _train(run)
    record: dict[str, Any] = json.loads((Path(run.out) / "run.json").read_text())
    return record


def _train(run: ReaderRun) -> None:
    """Trains in one process. Process 0 writes `run.json`."""
    out = Path(run.out)
    torch.manual_seed(run.seed)
    network = PlateNet()
    train, val = read_plates([Path(folder) for folder in run.data])
    store = CropDatabase(run.store) if run.store else None
    options = {
        **{key: value for key, value in asdict(run).items() if key not in ("minutes", "out")},
        "crops": {"train": len(train), "val": len(val)},
        "data_sha256": _hash([*train, *val]),
    }
    if run.base:
        load_base(network, Path(bundle_path(str(run.base))))
    training = Training(network, out / "last.pt", minutes=run.minutes, lr=run.lr)
    begun = begin(out / "begun.json", options) if rank() == 0 else {}
    seed = (run.seed, training.progress.step, rank())
    mix = Mix(
        [p for p in train if not in_groups(run.without, p.source, p.text, p.lines)],
        store,
        real=run.real,
        size=run.batch,
        accepts=lambda crop: not in_groups(run.without, crop.region, crop.text, crop.lines),
    )
    progress = training.fit(
        batches(mix, SPEC, seed=seed), lambda average: accuracy_by_source(average, SPEC, val)
    )
    if rank() == 0:
        record = {**begun, "rendered": store and len(store), **asdict(progress)}
        write_whole(out / "run.json", json.dumps(record, indent=2).encode())


def _hash(plates: Iterable[RealPlate]) -> str:
    digest = hashlib.sha256()
    for plate in plates:
        digest.update(f"{plate.source} {plate.text} {plate.box}\n".encode())
        digest.update(plate.image.tobytes())
    return digest.hexdigest()
