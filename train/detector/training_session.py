"""Starts or resumes the training of a detector, and reports its progress."""

import csv
import functools
import shutil
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ultralytics import YOLO
from ultralytics.utils import LOGGER
from ultralytics.utils.torch_utils import intersect_dicts

from plateid.config.models import bundle_path
from train.detector.distillation import DistillationLoss, has_yolov8_outputs
from train.detector.plate_trainer import (
    DetectorRun,
    PlateTrainer,
    ultralytics_settings,
    use_all_cores,
)
from train.detector.restore import restore_weights
from train.detector.yolo_weights import (
    has_plain_branches,
    is_last,
    load_detector,
    newest_checkpoint,
)
from train.progress import INTERVAL_S, interval_passed
from train.train_error import TrainError


def train_network(run: DetectorRun, data: Path, out: Path, *, steps: int) -> dict[str, float]:
    """Trains to the last epoch, from the newest checkpoint in `out` if there is one.

    `data` is a `data.yaml`; `out` gets `weights/best.pt`, `weights/last.pt` and `results.csv`; an
    epoch has `steps`. Returns the validation metrics by ultralytics' names. Raises TrainError if
    the base, a teacher or an image cannot be used.
    """
    use_all_cores()
    best, unfinished = out / "weights" / "best.pt", newest_checkpoint(out / "weights")
    if unfinished and not zipfile.is_zipfile(best):
        shutil.copy(unfinished, best)
    if unfinished and is_last(unfinished, epochs=run.epochs):
        options = {"imgsz": run.imgsz, "single_cls": True, "plots": False, "verbose": False}
        metrics = YOLO(best).val(data=str(data), project=str(out.parent), name="val", **options)
        return dict(metrics.results_dict)
    images = sorted((data.parent / "images" / "train").iterdir())
    model, distillation = _start(run, unfinished, out.parent, images)
    progress = _Progress(run.epochs, steps)
    model.add_callback(
        "on_train_start", functools.partial(_add_seconds_before, out / "results.csv")
    )
    model.add_callback("on_train_batch_end", progress.after_step)
    model.add_callback("on_train_epoch_end", _check_loss)
    model.add_callback("on_fit_epoch_end", progress.after_epoch)
    if run.max_minutes is not None:
        model.add_callback("on_fit_epoch_end", functools.partial(_limit_epochs, run.max_minutes))
    results = model.train(
        trainer=functools.partial(PlateTrainer, run=run, distillation=distillation),
        resume=bool(unfinished),
        data=str(data),
        save_dir=str(out),  # the run may have been moved since it was interrupted
        **ultralytics_settings(run, model.model.model[-1], steps),
    )
    return dict(results.results_dict)


def training_seconds(results: Path) -> float:
    """Returns the training time so far, from the last complete row of `results.csv`."""
    with results.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["time"]]
    return float(rows[-1]["time"]) if rows else 0.0


def _start(
    run: DetectorRun, unfinished: Path | None, folder: Path, images: Sequence[Path]
) -> tuple[YOLO, DistillationLoss | None]:
    """Returns the network to go on with, and the loss against the teachers."""
    base = _weights(run.base, folder / "base.pt", images)
    teachers = {
        each: load_detector(_weights(each, folder / f"teacher{number}.pt", images)).model
        for number, each in enumerate(run.teachers)
    }
    distillation = DistillationLoss(teachers) if teachers else None
    model = load_detector(str(unfinished or base))
    if teachers and not unfinished and run.base.endswith(".yaml"):
        # `model.load()` would also copy the activations of the branches
        network, teacher = model.model, teachers[run.teachers[0]]
        weights = intersect_dicts(teacher.state_dict(), network.state_dict())
        network.load_state_dict(weights, strict=False)
        model.ckpt = {"model": network}  # tells model.train() that there are weights
    head = model.model.model[-1]
    if (run.score_width and not has_plain_branches(head)) or (
        teachers and not has_yolov8_outputs(head)
    ):
        raise TrainError(f"{run.base}: --score-width and --teacher need the head of a YOLOv8")
    for each, teacher in teachers.items():
        if teacher.stride.tolist() != model.model.stride.tolist():
            raise TrainError(f"--teacher {each}: its strides differ from those of {run.base}")
    return model, distillation


def _weights(base: str, out: Path, images: Sequence[Path]) -> str:
    """Returns a path that ultralytics can load; the detector of a bundle is restored to `out`."""
    folder = Path(bundle_path(base))
    return str(restore_weights(folder, out, images)) if folder.is_dir() else base


def _add_seconds_before(results: Path, trainer: Any) -> None:
    """Makes a resumed run count the seconds before it was interrupted."""
    if trainer.start_epoch:
        trainer.train_time_start -= training_seconds(results)


def _limit_epochs(minutes: float, trainer: Any) -> None:
    """Takes fewer epochs if all of them would last longer than these minutes."""
    done = trainer.epoch + 1
    epoch_s = (time.time() - trainer.train_time_start) / done
    possible = max(done, int(60 * minutes / epoch_s))
    if possible < trainer.epochs:  # the learning rate falls to the end of the new last epoch
        trainer.epochs = trainer.args.epochs = possible
        trainer._setup_scheduler()  # noqa: SLF001 - as ultralytics does for its own time limit
        trainer.scheduler.last_epoch = trainer.epoch
        trainer.stop |= done >= possible


def _check_loss(trainer: Any) -> None:
    """Stops after a first epoch with a non-finite loss; later on, ultralytics goes back itself."""
    losses, epoch = trainer.tloss.values(), trainer.epoch
    if epoch == trainer.start_epoch and not all(loss.isfinite().all() for loss in losses):
        raise TrainError(f"the loss is not finite in epoch {epoch + 1}: take a lower --lr0")


class _Progress:
    """Prints the time left after each epoch; if output is piped, a line now and then as well."""

    def __init__(self, epochs: int, steps: int) -> None:
        self._epochs, self._steps = epochs, steps
        self._is_due = interval_passed(INTERVAL_S)
        self._step = 0
        self._began_s: float | None = None
        self._first_epoch = 0

    def after_step(self, trainer: Any) -> None:
        self._step += 1
        if not sys.stdout.isatty() and self._is_due():
            epoch = f"epoch {trainer.epoch + 1} of {self._epochs}"
            LOGGER.info(f"{epoch}, step {self._step} of {self._steps}")

    def after_epoch(self, trainer: Any) -> None:
        now, self._step = time.monotonic(), 0
        if self._began_s is None:
            self._began_s, self._first_epoch = now, trainer.epoch
        elif trainer.epoch < self._epochs:  # ultralytics calls once more after the last epoch
            epoch_s = (now - self._began_s) / (trainer.epoch - self._first_epoch)
            left = epoch_s * (self._epochs - trainer.epoch - 1) / 60
            LOGGER.info(f"epoch {trainer.epoch + 1} of {self._epochs}, {left:.0f} min left")
