"""Fine-tune an ultralytics detector on a few hundred plate pictures."""

import functools
import json
import pickle
import time
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics import YOLO
from ultralytics.engine import trainer
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import LOGGER

from train.augment import PlateDataset, read_plates, render_plates
from train.dataset.checks import checked_pictures
from train.dataset.pictures import Picture, split, write_yolo
from train.errors import TrainError
from train.record import commit, data_hash, write_whole

AUGMENTATION = {
    "degrees": 5.0,
    "perspective": 0.0005,
    "scale": (0.4, 2.0),
    "shear": 3.0,
    "hsv_h": 0.05,
    "hsv_v": 0.5,
    "mosaic": 0.7,
    "flipud": 0.1,
}
RENDERED = 600
"""Plates drawn for putting into pictures, beside those of `DetectorRun.plates`."""


@dataclass(frozen=True)
class DetectorRun:
    """Configuration, command line and record of one fine-tuning run.

    Attributes:
        data: Folders of labelled pictures.
        base: What to start from: weights of any detector of ultralytics, or a network's yaml.
        out: Folder of the run.
        epochs: Times that each picture is seen.
        imgsz: Longest side of the pictures in training, in pixels.
        batch: Pictures a step.
        lr0: Greatest learning rate.
        seed: Of all that is left to chance.
        plates: Folders of plates cut out, to be put into the pictures.
        teacher: Weights of a detector to distil. Where `base` is a yaml, also its start.
        limit: How many of the training pictures to use; None: all.
        validate: Whether to measure after each epoch, or at the end only.
    """

    data: tuple[str, ...]
    base: str
    out: str
    epochs: int = 20
    imgsz: int = 640
    batch: int = 16
    lr0: float = 1e-3
    seed: int = 0
    plates: tuple[str, ...] = ()
    teacher: str | None = None
    limit: int | None = None
    validate: bool = True


def train_detector(run: DetectorRun) -> dict[str, Any]:
    """Trains, or resumes when `run.out` holds an unfinished run, and writes `run.json`.

    Raises:
        TrainError: The data or the base cannot be used, the run is finished, or nothing more can be
            written.

    Returns:
        What `run.json` says: the configuration, the commit, a hash of the data, and the validation
        metrics.
    """
    out = Path(run.out).resolve()
    if (out / "run.json").is_file():
        raise TrainError(f"{out}: holds a finished run; choose another --out")
    pictures, summary = checked_pictures(map(Path, run.data))
    LOGGER.info(str(summary))
    train, val = split(pictures)
    sides = chosen(train, run), val
    data = write_yolo(sides, out / "data")
    use_bfloat16_on_cpu()
    began = time.monotonic()
    metrics = _fit(run, data, out)
    record = {
        **asdict(run),
        "commit": commit(),
        "pictures": {"train": len(sides[0]), "val": len(val)},
        "checks": asdict(summary),
        "data_sha256": data_hash(pictures),
        "minutes": round((time.monotonic() - began) / 60, 1),
        "metrics": {name: round(float(value), 4) for name, value in metrics.items()},
    }
    write_whole(out / "run.json", json.dumps(record, indent=2))
    return record


def chosen(pictures: list[Picture], run: DetectorRun) -> list[Picture]:
    """The first `run.limit` in an order that only the seed decides: more hold all of fewer."""
    order = np.random.default_rng(run.seed).permutation(len(pictures))
    return [pictures[i] for i in order[: run.limit]]


def _fit(run: DetectorRun, data: Path, out: Path) -> dict[str, float]:
    unfinished = _checkpoint(out / "fit" / "weights")
    model = load_detector(str(unfinished) if unfinished else run.base)
    if run.teacher and not unfinished and run.base.endswith(".yaml"):
        model.load(run.teacher)
    model.add_callback("on_fit_epoch_end", _Progress(run.epochs))
    try:
        results = model.train(
            trainer=functools.partial(PlateTrainer, run=run),
            resume=bool(unfinished),
            data=str(data),
            epochs=run.epochs,
            imgsz=run.imgsz,
            batch=run.batch,
            nbs=run.batch,
            lr0=run.lr0,
            lrf=0.02,
            cos_lr=True,
            optimizer="AdamW",
            warmup_epochs=1.0,
            distill_model=run.teacher,
            seed=run.seed,
            workers=1,
            cache="ram",
            single_cls=True,
            val=run.validate,
            close_mosaic=max(1, run.epochs // 6),
            plots=False,
            project=str(out),
            name="fit",
            exist_ok=True,
            **AUGMENTATION,
        )
    except OSError as error:
        raise TrainError(f"{out}: {error}; the same command goes on from the last epoch") from error
    metrics: dict[str, float] = results.results_dict
    return metrics


def _checkpoint(weights: Path) -> Path | None:
    """The newest whole checkpoint of an unfinished run; a kill may have cut the last one off."""
    for path in (weights / "last.pt", weights / "previous.pt"):
        if path.is_file() and zipfile.is_zipfile(path):
            return path
    return None


def load_detector(path: str) -> YOLO:
    """A detector of ultralytics, from its weights or its yaml.

    Raises:
        TrainError: The file is missing or broken, or its network does something else.
    """
    try:
        model = YOLO(path)
    except (OSError, RuntimeError, TypeError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise TrainError(f"{path}: not a detector: {error}") from error
    if model.task != "detect":
        raise TrainError(f"{path}: is made to {model.task}, not to detect")
    return model


class _Progress:
    """Says after each epoch how far the training is and how long it will take."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._began: float | None = None
        self._first = 0

    def __call__(self, trainer: Any) -> None:
        now = time.monotonic()
        if self._began is None:
            self._began, self._first = now, trainer.epoch
            return
        each = (now - self._began) / max(1, trainer.epoch - self._first)
        left = each * (self._epochs - trainer.epoch - 1)
        LOGGER.info(f"epoch {trainer.epoch + 1} of {self._epochs}, {left / 60:.0f} min left")


class PlateTrainer(DetectionTrainer):  # type: ignore[misc] - ultralytics is untyped
    """ultralytics' trainer, fed with plateid's augmentations."""

    def __init__(self, *args: Any, run: DetectorRun, **kwargs: Any) -> None:
        """Takes what ultralytics' trainer takes, and the run."""
        super().__init__(*args, **kwargs)
        self._run = run

    def save_model(self) -> Any:
        """As ultralytics does, but a kill while it writes leaves the checkpoint before."""
        if self.last.exists():
            self.last.replace(self.wdir / "previous.pt")
        return super().save_model()

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:
        """As ultralytics does, with another class for the training side."""
        if mode != "train":
            return super().build_dataset(img_path, mode, batch)
        rng = np.random.default_rng(self._run.seed)
        dataset = PlateDataset(
            img_path=img_path,
            data=self.data,
            imgsz=self.args.imgsz,
            augment=True,
            hyp=self.args,
            cache=self.args.cache,
            single_cls=True,
            batch_size=batch,
        )
        dataset.plates = [*read_plates(self._run.plates), *render_plates(RENDERED, rng)]
        dataset.rng = rng
        return dataset


def use_bfloat16_on_cpu() -> None:
    """Makes ultralytics use bfloat16 on a CPU, where it refuses to: two to three times as fast."""
    if not torch.cuda.is_available():
        trainer.autocast = lambda *_args, **_kwargs: torch.autocast("cpu", dtype=torch.bfloat16)
