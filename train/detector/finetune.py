"""One run of fine-tuning: what was asked for, what came out, and how it goes on after a kill."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any

import click
import numpy as np
from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

from plateid.config.models import bundle_path
from train.dataset.labelled_images import LabelledImage, split, write_yolo
from train.dataset.splits import checked_pictures
from train.detector.ultralytics_training import checkpoint, fit, seconds
from train.machine import alone_in
from train.record import begin, data_hash, write_whole
from train.synth.fonts import font_files
from train.train_error import TrainError

PLACES = ("data", "data.new", "fit")
"""Of a run in its folder; what is there is replaced."""


@dataclass(frozen=True)
class DetectorRun:
    """Configuration, command line and record of one fine-tuning run.

    Attributes:
        data: Folders of labelled pictures.
        base: What to start from: weights of any YOLO detector of ultralytics, a network's yaml, or
            a bundle with a YOLOv8n.
        out: Folder of the run.
        epochs: Times that each picture is seen.
        imgsz: Longest side of the pictures in training, in pixels.
        batch: Pictures a step.
        lr0: Greatest learning rate.
        seed: Of all that is left to chance.
        plates: Folders of plates cut out, to be put into the pictures.
        teachers: Weights of detectors, or bundles, whose answers are learnt in the place of the
            labels. Where `base` is a yaml, the first is also its start.
        towers: Channels of new towers for boxes and scores; all else stays as in the base. None:
            all is trained.
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
    teachers: tuple[str, ...] = ()
    towers: int | None = None
    limit: int | None = None
    validate: bool = True

    @property
    def asked(self) -> dict[str, Any]:
        """What decides what comes out: all but where that is."""
        return {key: value for key, value in asdict(self).items() if key != "out"}


def train_detector(run: DetectorRun) -> dict[str, Any]:
    """Trains, or resumes when `run.out` holds an unfinished run, and writes `run.json`.

    Raises:
        TrainError: The data, the base or a teacher cannot be used; the folder holds a finished
            run, or one of other settings; or nothing more can be written.

    Returns:
        What `run.json` says: the configuration, the commit, a hash of the data, what the checks
        did, and the validation metrics.
    """
    if not 0 < run.lr0 <= 1:  # nor nan
        raise TrainError(f"--lr0 {run.lr0}: must be more than 0, and 1 at most")
    out = Path(run.out).resolve()
    _check_out(out, run.data)
    font_files()  # before hours are lost to one that is missing
    pictures, summary = checked_pictures(map(Path, run.data))
    click.echo(summary, err=True)
    train, val = split(pictures)
    sides = chosen(train, run), val
    asked = {
        **run.asked,
        "pictures": {"train": len(sides[0]), "val": len(val)},
        "data_sha256": data_hash(pictures),
        "base_sha256": base_hash(run.base),
        "teachers_sha256": [_file_hash(each) for each in run.teachers],
    }
    try:
        with alone_in(out):
            begun = begin(out / "begun.json", asked, out=run.out, checks=asdict(summary))
            metrics = _fitted(run, out, sides)
            record = {
                **begun,
                "minutes": round(seconds(out / "fit" / "results.csv") / 60, 1),
                "metrics": {name: round(float(value), 4) for name, value in metrics.items()},
            }
            write_whole(out / "run.json", json.dumps(record, indent=2))
    except OSError as error:
        raise TrainError(f"{out}: {error}; once mended, the same command goes on") from error
    return record


def _fitted(
    run: DetectorRun, out: Path, sides: tuple[list[LabelledImage], list[LabelledImage]]
) -> dict[str, float]:
    """The metrics; a run that could not begin leaves nothing that keeps it from another try."""
    steps = ceil(len(sides[0]) / run.batch)
    try:
        return fit(run, write_yolo(sides, out / "data"), out / "fit", steps=steps)
    except TrainError:
        if checkpoint(out / "fit" / "weights") is None:
            (out / "begun.json").unlink()
            for place in PLACES:
                shutil.rmtree(out / place, ignore_errors=True)
        raise


def _check_out(out: Path, data: Iterable[str]) -> None:
    """Refuses a folder with something else in the places where a run's is replaced."""
    if any("\ud800" <= letter <= "\udfff" for letter in str(out)):
        raise TrainError(f"--out {str(out)!a}: its name is not UTF-8")
    if (out / "run.json").is_file():
        raise TrainError(f"{out}: holds a finished run; choose another --out")
    for folder in data:
        if out.is_relative_to(Path(folder).resolve()):
            raise TrainError(f"--out {out}: lies in --data {folder}; choose another")
    others = [name for name in PLACES if (out / name).exists()]
    if others and not (out / "begun.json").is_file():
        raise TrainError(f"--out {out}: holds {others[0]}, and no run; choose another")


def base_hash(base: str) -> str | None:
    """Of what is started from; None of what ultralytics knows by its name, and fetches."""
    is_known = base in GITHUB_ASSETS_NAMES or not Path(bundle_path(base)).exists()
    return None if is_known else _file_hash(base)


def _file_hash(path: str) -> str:
    """Of weights, which all have one name with ultralytics, or of the detector of a bundle."""
    folder = Path(bundle_path(path))
    try:
        file = folder / "detector.onnx" if folder.is_dir() else Path(path)
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise TrainError(f"{path}: {error.strerror}") from error


def chosen(pictures: list[LabelledImage], run: DetectorRun) -> list[LabelledImage]:
    """The first `run.limit` in an order that only the seed decides: more hold all of fewer."""
    order = np.random.default_rng(run.seed).permutation(len(pictures))
    return [pictures[i] for i in order[: run.limit]]
