"""One run of training a reader: what was asked for, and what came out."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from plateid.config.models import bundle_path
from train.machine import alone_in
from train.reader.batches import Mix, batches
from train.reader.candidates import candidate, load_base
from train.reader.crops import Plate, read_plates
from train.reader.fit import Schedule, Training
from train.reader.parallel import in_processes, rank
from train.reader.scores import scores
from train.record import begin, write_whole
from train.synth.crop_database import CropDatabase
from train.train_error import TrainError


@dataclass(frozen=True)
class ReaderRun:
    """Configuration, command line and record of one run.

    Attributes:
        data: Folders of transcribed plates.
        out: Folder of the run.
        network: plateid's own, or EasyOCR's recogniser.
        easyocr: Folder of EasyOCR's weights; None: its own download.
        store: File of `train synth`; None: plates are rendered as they are needed.
        base: Checkpoint of another run to start from, or a bundle.
        minutes: How long to train.
        batch: Crops a step.
        lr: Greatest learning rate.
        real: Share of real crops.
        seed: Of all that is left to chance.
        processes: That train together, each with `batch` crops a step.
    """

    data: tuple[str, ...]
    out: str
    network: Literal["plateid", "english_g2"] = "plateid"
    easyocr: Path | None = None
    store: Path | None = None
    base: Path | None = None
    minutes: float = 60.0
    batch: int = 64
    lr: float = 1e-3
    real: float = 0.2
    seed: int = 0
    processes: int = 1


def train_reader(run: ReaderRun) -> dict[str, Any]:
    """Trains for a time, from the last checkpoint if there is one.

    Raises:
        TrainError: The data, a number or a checkpoint cannot be used; the folder holds a run with
            other settings, but for the minutes; the loss is no longer a number; or nothing more can
            be written.

    Returns:
        What `run.json` says.
    """
    for name, value in (("minutes", run.minutes), ("lr", run.lr)):
        if not value > 0:  # nor nan
            raise TrainError(f"--{name} {value}: must be more than 0")
    try:
        with alone_in(Path(run.out)):
            if run.processes > 1:
                in_processes(run.processes, _train, run)
            else:
                _train(run)
        record: dict[str, Any] = json.loads((Path(run.out) / "run.json").read_text())
    except OSError as error:
        raise TrainError(f"{run.out}: {error}; once mended, the same command goes on") from error
    return record


def _train(run: ReaderRun) -> None:
    """What each process does; the first writes `run.json`."""
    out = Path(run.out)
    torch.manual_seed(run.seed)
    chosen = candidate(run.network, run.easyocr)
    train, val = read_plates([Path(folder) for folder in run.data], two_lines=chosen.two_lines)
    store = CropDatabase(run.store) if run.store else None
    asked = {
        **{key: value for key, value in asdict(run).items() if key not in ("minutes", "out")},
        "crops": {"train": len(train), "val": len(val)},
        "data_sha256": _hash([*train, *val]),
    }
    mix = Mix(train, store, real=run.real, size=run.batch, regions=chosen.regions)
    if run.base:
        load_base(chosen, Path(bundle_path(str(run.base))))
    about = {"network": run.network, "regions": list(chosen.regions)}
    schedule = Schedule(run.minutes, run.lr)
    training = Training(chosen.network, schedule, out / "last.pt", about)
    begun = begin(out / "begun.json", asked) if rank() == 0 else {}
    seed = (run.seed, training.progress.step, rank())
    progress = training.fit(
        batches(mix, chosen.spec, seed=seed), lambda network: scores(network, chosen.spec, val)
    )
    if rank() != 0:
        return
    record = {**begun, "rendered": store and len(store), **asdict(progress)}
    write_whole(out / "run.json", json.dumps(record, indent=2))


def _hash(plates: Iterable[Plate]) -> str:
    digest = hashlib.sha256()
    for plate in plates:
        digest.update(f"{plate.source} {plate.text} {plate.box}\n".encode())
        digest.update(plate.image.tobytes())
    return digest.hexdigest()
