"""The training itself, by ultralytics, with plateid's pictures; safe to kill at any moment."""

import copy
import csv
import functools
import os
import pickle
import shutil
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml
from ultralytics import YOLO
from ultralytics.engine import trainer
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import LOGGER, downloads, torch_utils
from ultralytics.utils.torch_utils import intersect_dicts

from plateid.config.models import bundle_path
from train.detector.augment import PlateDataset, read_cut_outs, render_plates
from train.detector.distillation import Answers, answers_alike
from train.detector.head_width import have_towers, renew_towers
from train.detector.restore import thaw
from train.machine import computes_bfloat16
from train.train_error import TrainError

if TYPE_CHECKING:
    from train.detector.finetune import DetectorRun

AUGMENTATION = {  # nothing that turns or skews: it makes upright boxes loose
    "scale": (0.4, 2.0),
    "hsv_h": 0.05,
    "hsv_v": 0.5,
    "mosaic": 0.7,
    "flipud": 0.1,
}
WARMUP_STEPS = 50
RENDERED = 600
"""Plates drawn for putting into pictures, beside those of `DetectorRun.plates`."""
BROKEN = (
    *(OSError, RuntimeError, TypeError, KeyError, ValueError, EOFError),
    *(AttributeError, ImportError, MemoryError),
)
"""What torch and ultralytics raise for files that hold no network."""
FETCH = downloads.attempt_download_asset


def fit(run: "DetectorRun", data: Path, out: Path, *, steps: int) -> dict[str, float]:
    """Trains to the end, from the last checkpoint in `out` where there is one.

    Args:
        run: The configuration.
        data: `data.yaml` as ultralytics wants it.
        out: Folder for `weights/best.pt`, `weights/last.pt` and `results.csv`.
        steps: Of an epoch.

    Raises:
        TrainError: The base or a teacher is no detector, its head is not that of a YOLOv8, they
            have other maps, or ultralytics cannot use a picture.
        OSError: Nothing more can be written.

    Returns:
        The validation metrics, by ultralytics' names.
    """
    use_whole_cpu()
    best, unfinished = out / "weights" / "best.pt", checkpoint(out / "weights")
    if unfinished and not zipfile.is_zipfile(best):
        shutil.copy(unfinished, best)
    if unfinished and is_last(unfinished, epochs=run.epochs):
        return _measured(best, run, data, out)
    pictures = sorted((data.parent / "images" / "train").iterdir())
    model, answers = _begun(run, unfinished, out.parent, pictures)
    model.add_callback("on_train_start", functools.partial(_go_on_counting, out / "results.csv"))
    model.add_callback("on_train_epoch_end", _check_loss)
    model.add_callback("on_fit_epoch_end", _Progress(run.epochs))
    results = model.train(
        trainer=functools.partial(PlateTrainer, run=run, answers=answers),
        resume=bool(unfinished),
        data=str(data),
        save_dir=str(out),  # not where it was before somebody moved it
        **_settings(run, model.model.model[-1], steps),
    )
    return dict(results.results_dict)


def _measured(best: Path, run: "DetectorRun", data: Path, out: Path) -> dict[str, float]:
    options = {"imgsz": run.imgsz, "single_cls": True, "plots": False, "verbose": False}
    metrics = YOLO(best).val(data=str(data), project=str(out.parent), name="val", **options)
    return dict(metrics.results_dict)


def _begun(
    run: "DetectorRun", unfinished: Path | None, folder: Path, pictures: Sequence[Path]
) -> tuple[YOLO, Answers | None]:
    """The network as it is before the next step, and the answers that it is to learn."""
    base = _weights(run.base, folder / "base.pt", pictures)
    teachers = {
        each: load_detector(_weights(each, folder / f"teacher{number}.pt", pictures)).model
        for number, each in enumerate(run.teachers)
    }
    answers = Answers(teachers) if teachers else None
    model = load_detector(str(unfinished or base))
    if teachers and not unfinished and run.base.endswith(".yaml"):
        # model.load() would also take the activations of the teacher's class head
        weights = teachers[run.teachers[0]].state_dict()
        weights = intersect_dicts(weights, model.model.state_dict())
        model.model.load_state_dict(weights, strict=False)
        model.ckpt = {"model": model.model}  # what tells model.train() that there are weights
    head = model.model.model[-1]
    if (run.towers and not have_towers(head)) or (teachers and not answers_alike(head)):
        raise TrainError(f"{run.base}: --towers and --teacher need the head of a YOLOv8")
    for each, teacher in teachers.items():
        if teacher.stride.tolist() != model.model.stride.tolist():
            raise TrainError(f"--teacher {each}: has other maps than {run.base}")
    return model, answers


def _settings(run: "DetectorRun", head: Any, steps: int) -> dict[str, Any]:
    """For ultralytics, by its names."""
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
        "warmup_bias_lr": 0.0,  # 0.1 is for SGD: Adam would move each bias by it
        "freeze": [*range(head.i)] if run.towers else None,
        "seed": run.seed,
        "workers": min(8, os.cpu_count() or 1),  # on a CPU, ultralytics uses none
        "cache": "ram",
        "cls_remap": False,
        "single_cls": True,
        "val": run.validate,
        "close_mosaic": max(1, round(run.epochs / 6)),
        "plots": False,
        "patience": 0,  # to the end of the cosine
        **AUGMENTATION,
    }


def _weights(base: str, out: Path, pictures: Sequence[Path]) -> str:
    """What ultralytics can load; the detector of a bundle is written to `out`."""
    folder = Path(bundle_path(base))
    if folder.is_dir():
        return str(thaw(folder, out, pictures))
    return base


def checkpoint(weights: Path) -> Path | None:
    """The newest whole checkpoint of a run; a kill may have cut the last one off."""
    for path in (weights / "last.pt", weights / "previous.pt"):
        if path.is_file() and zipfile.is_zipfile(path):
            return path
    return None


def is_last(path: Path, *, epochs: int) -> bool:
    """Whether a checkpoint of our own is that of the last epoch; -1: it was stripped as well."""
    epoch: int = torch.load(path, map_location="cpu", weights_only=False)["epoch"]
    return epoch == -1 or epoch >= epochs - 1


def load_detector(path: str) -> YOLO:
    """A YOLO detector of ultralytics, from its weights or its yaml.

    Raises:
        TrainError: The file is missing or broken, or its network does something else.
    """
    downloads.attempt_download_asset = _found_or_fetched
    try:
        model = YOLO(path)
    except (*BROKEN, pickle.UnpicklingError, yaml.YAMLError) as error:
        raise TrainError(f"{path}: not a detector that can be loaded: {error}") from error
    if not isinstance(model.model, torch.nn.Module):  # only its name: an exported network, a text
        raise TrainError(f"{path}: not a detector that can be loaded: neither weights nor a yaml")
    if type(model) is not YOLO or model.task != "detect":
        raise TrainError(f"{path}: is a {type(model).__name__} to {model.task}, no YOLO detector")
    return model


def _found_or_fetched(file: str | Path, *args: Any, **kwargs: Any) -> str:
    """As ultralytics' own, which takes the apostrophes out of the path of a file that is there."""
    return str(file) if Path(file).is_file() else str(FETCH(file, *args, **kwargs))


def load_fused(path: str) -> Any:
    """The network of a detector for inference, its normalisations part of its convolutions.

    Raises:
        TrainError: As `load_detector`.
    """
    network: Any = load_detector(path).model.float().eval()
    head = network.model[-1]
    head.end2end = False  # or fusing drops the head whose candidates the device suppresses
    return network.fuse()


def _go_on_counting(results: Path, trainer: Any) -> None:
    """Of a run that goes on, the seconds of before count as well."""
    if trainer.start_epoch:
        trainer.train_time_start -= seconds(results)


def seconds(results: Path) -> float:
    """How long a run has been trained, as the last row says that is whole."""
    with results.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["time"]]
    return float(rows[-1]["time"]) if rows else 0.0


def _check_loss(trainer: Any) -> None:
    """Ultralytics goes on from the last checkpoint, but keeps the first epoch all the same."""
    losses, epoch = trainer.tloss.values(), trainer.epoch
    if epoch == trainer.start_epoch and not all(loss.isfinite().all() for loss in losses):
        raise TrainError(f"the loss is no number in epoch {epoch + 1}: take a lower --lr0")


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
        elif trainer.epoch < self._epochs:  # ultralytics calls once more after the last
            each = (now - self._began) / (trainer.epoch - self._first)
            left = each * (self._epochs - trainer.epoch - 1)
            LOGGER.info(f"epoch {trainer.epoch + 1} of {self._epochs}, {left / 60:.0f} min left")


class PlateTrainer(DetectionTrainer):  # type: ignore[misc] - ultralytics is untyped
    """ultralytics' trainer, fed with plateid's augmentations."""

    def __init__(
        self, *args: Any, run: "DetectorRun", answers: Answers | None, **kwargs: Any
    ) -> None:
        """Takes what ultralytics' trainer takes, the run, and the answers that it is to learn."""
        super().__init__(*args, **kwargs)
        self._run = run
        self._answers = answers

    def save_model(self) -> Any:
        """As ultralytics does, but a kill while it writes leaves the checkpoint before."""
        if zipfile.is_zipfile(self.last):  # not one that a full disk cut off
            self.last.replace(self.wdir / "previous.pt")
        return super().save_model()

    def get_model(self, cfg: Any = None, weights: Any = None, **options: Any) -> Any:
        """As ultralytics does, which builds it anew, but each activation stays what it was.

        Towers are new, where the run asks for some of another width.
        """
        model = super().get_model(cfg, weights, **options)
        head, before = model.model[-1], weights.model[-1] if weights else None
        if before is not None and have_towers(before) and _width(head.cv2) != _width(before.cv2):
            head.cv2 = copy.deepcopy(before.cv2).requires_grad_()  # it kept the width of cv3 only
        blocks = dict(model.named_modules())
        for name, block in weights.named_modules() if weights else ():
            if name in blocks and isinstance(getattr(block, "act", None), torch.nn.Module):
                blocks[name].act = copy.deepcopy(block.act)
        if self._run.towers:
            renew_towers(head, self._run.towers, self._run.towers)
        if self._answers:
            model.criterion = self._answers
        return model

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:
        """As ultralytics does, with another class for the training side."""
        if mode != "train":
            return _whole(super().build_dataset(img_path, mode, batch), img_path)
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
        rendered = render_plates(RENDERED, seed=self._run.seed)
        dataset.plates = [*read_cut_outs(self._run.plates), *rendered]
        dataset.seed = self._run.seed
        return _whole(dataset, img_path)


def _width(towers: Any) -> int:
    width: int = towers[0][-1].in_channels
    return width


def _whole(dataset: Any, folder: str) -> Any:
    """The dataset, if ultralytics could use all pictures: it leaves others out, and goes on."""
    used = {Path(file).name for file in dataset.im_files}
    if lost := sorted(file for file in Path(folder).iterdir() if file.name not in used):
        raise TrainError(f"{lost[0].resolve()}: not used by ultralytics, nor {len(lost) - 1} more")
    return dataset


def use_whole_cpu() -> None:
    """Makes ultralytics use bfloat16 on a CPU, two to three times as fast, and the last core.

    It refuses the one, and spares the other: half of a machine with two.
    """
    torch_utils.NUM_THREADS = os.cpu_count() or 1
    if not torch.cuda.is_available() and computes_bfloat16():
        trainer.autocast = lambda *_args, **_kwargs: torch.autocast("cpu", dtype=torch.bfloat16)
