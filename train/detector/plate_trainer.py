"""ultralytics' trainer with plateid's augmentation and distillation, safe to kill at any moment."""

import copy
import os
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from ultralytics.engine import trainer
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import torch_utils

from train.detector.augment import (
    REPLACED_SHARE,
    PlateDataset,
    read_plate_images,
    render_plates,
)
from train.detector.distillation import DistillationLoss
from train.detector.yolo_weights import set_score_width
from train.machine import computes_bfloat16
from train.train_error import TrainError


@dataclass(frozen=True)
class DetectorRun:
    """Configuration and record of a fine-tuning run: the options of `train detector`.

    If `base` is a network's yaml and there are teachers, training starts from the weights of the
    first. `score_width` freezes everything but the new score branches. `frozen` is the number of
    first layers that are not trained; `replaced` is the share of plates that others replace;
    `max_minutes` bounds the training by fewer epochs.
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
    teachers: tuple[str, ...] = ()
    score_width: int | None = None
    limit: int | None = None
    validate: bool = True
    frozen: int = 0
    replaced: float = REPLACED_SHARE
    max_minutes: float | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that affects the result: all but the output folder."""
        return {key: value for key, value in asdict(self).items() if key != "out"}


AUGMENTATION = {"scale": (0.4, 2.0), "hsv_h": 0.05, "hsv_v": 0.5, "mosaic": 0.7, "flipud": 0.1}
"""No rotation and no shear: upright boxes around rotated plates are loose."""
WARMUP_STEPS = 50
"""Steps in which the learning rate rises."""
RENDERED_PLATES = 600
"""Rendered plates to paste into images, besides those of `DetectorRun.plates`."""


class PlateTrainer(DetectionTrainer):
    """Trains the detector of a `DetectorRun`."""

    def __init__(
        self, *args: Any, run: DetectorRun, distillation: DistillationLoss | None, **kwargs: Any
    ) -> None:
        """Takes the arguments of ultralytics' trainer, and the loss to use in place of its own."""
        super().__init__(*args, **kwargs)
        self._run = run
        self._distillation = distillation

    def save_model(self) -> Any:
        """Saves a checkpoint; a kill while it is written leaves the one before."""
        if zipfile.is_zipfile(self.last):  # a full disk may have cut it off
            self.last.replace(self.wdir / "previous.pt")
        return super().save_model()

    def get_model(self, cfg: Any = None, weights: Any = None, **options: Any) -> Any:
        """Builds the network; ultralytics would reset each activation to the yaml's."""
        model = super().get_model(cfg, weights, **options)
        blocks = dict(model.named_modules())
        for name, block in weights.named_modules() if weights else ():
            if name in blocks and isinstance(getattr(block, "act", None), torch.nn.Module):
                blocks[name].act = copy.deepcopy(block.act)
        if self._run.score_width:
            set_score_width(model.model[-1], self._run.score_width)
        if self._distillation:
            model.criterion = self._distillation
        return model

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:
        """Builds the dataset, for training with plateid's augmentation."""
        if mode != "train":
            return _complete(super().build_dataset(img_path, mode, batch), img_path)
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
        rendered = render_plates(RENDERED_PLATES, seed=self._run.seed)
        dataset.plates = [*read_plate_images(self._run.plates), *rendered]
        dataset.seed, dataset.replaced = self._run.seed, self._run.replaced
        return _complete(dataset, img_path)


def ultralytics_settings(run: DetectorRun, head: Any, steps: int) -> dict[str, Any]:
    """Returns a run's settings by ultralytics' names; `steps` is the length of an epoch."""
    return {
        "epochs": run.epochs,
        "imgsz": run.imgsz,
        "batch": run.batch,
        "nbs": run.batch,
        "lr0": run.lr0,
        "lrf": 0.02,
        "cos_lr": True,
        "optimizer": "AdamW",
        "warmup_epochs": min(WARMUP_STEPS / steps, run.epochs / 4),
        "warmup_bias_lr": 0.0,  # ultralytics' 0.1 is for SGD: AdamW would move each bias by it
        "freeze": [*range(head.i if run.score_width else run.frozen)] or None,
        "seed": run.seed,
        "workers": min(8, os.cpu_count() or 1),  # ultralytics uses none on a CPU
        "cache": "ram",
        "cls_remap": False,
        "single_cls": True,
        "val": run.validate,
        "close_mosaic": max(1, round(run.epochs / 6)),
        "plots": False,
        "patience": 0,  # never stop early: the learning rate falls to the end
        **AUGMENTATION,
    }


def use_all_cores() -> None:
    """Makes ultralytics use the last core, and bfloat16 on a CPU: two to three times as fast."""
    torch_utils.NUM_THREADS = os.cpu_count() or 1
    if not torch.cuda.is_available() and computes_bfloat16():
        trainer.autocast = lambda *_args, **_kwargs: torch.autocast("cpu", dtype=torch.bfloat16)


def _complete(dataset: Any, folder: str) -> Any:
    """Returns the dataset; raises if ultralytics left out an image, which it does silently."""
    used = {Path(file).name for file in dataset.im_files}
    if unused := sorted(file for file in Path(folder).iterdir() if file.name not in used):
        others = f" and {len(unused) - 1} others" if len(unused) > 1 else ""
        raise TrainError(f"{unused[0].resolve()}{others}: ultralytics cannot use it")
    return dataset
