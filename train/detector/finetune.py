"""Fine-tunes a detector: checks the data, trains or resumes, and writes the record of the run."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from math import ceil
from pathlib import Path
from typing import Any

import click
import numpy as np
from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

from plateid.config.models import bundle_path
from plateid.files import write_whole
from train.dataset.grouping import Split
from train.dataset.labelled_image import LabelledImage, data_hash
from train.dataset.splits import load_split, summary_text
from train.dataset.yolo_layout import write_yolo
from train.detector.plate_trainer import DetectorRun
from train.detector.training_session import train_network, training_seconds
from train.detector.yolo_weights import newest_checkpoint
from train.machine import alone_in
from train.record import begin
from train.synth.fonts import font_files
from train.train_error import RESUME, TrainError, os_errors

REPLACED = ("data", "data.new", "fit")
"""Entries of a run's folder that a run replaces."""


def train_detector(run: DetectorRun) -> dict[str, Any]:
    """Trains, or resumes an interrupted run in `run.out`; writes and returns `run.json`.

    Raises TrainError if the data, the base, a teacher or the folder cannot be used.
    """
    if not 0 < run.lr0 <= 1:  # NaN fails as well
        raise TrainError(f"--lr0 {run.lr0}: must be more than 0 and at most 1")
    out = Path(run.out).resolve()
    _check_out(out, run.data)
    font_files()  # fails now if a font is missing, not hours later
    data, summary = load_split(map(Path, run.data))
    click.echo(summary_text(summary), err=True)
    used = Split(limited(data.training, run), data.validation)
    settings = {
        **run.settings,
        "images": {"train": len(used.training), "val": len(used.validation)},
        "data_sha256": data_hash(data.images),
        "base_sha256": base_hash(run.base),
        "teachers_sha256": [_file_hash(each) for each in run.teachers],
    }
    with os_errors(out, RESUME), alone_in(out):
        begun = begin(out / "begun.json", settings, out=run.out, checks=summary)
        metrics = _train(run, out, used)
        record = {
            **begun,
            "minutes": round(training_seconds(out / "fit" / "results.csv") / 60, 1),
            "metrics": {name: round(float(value), 4) for name, value in metrics.items()},
        }
        write_whole(out / "run.json", json.dumps(record, indent=2).encode())
    return record


def base_hash(base: str) -> str | None:
    """Returns the SHA-256 of the base; None for weights that ultralytics downloads by name."""
    is_download = base in GITHUB_ASSETS_NAMES or not Path(bundle_path(base)).exists()
    return None if is_download else _file_hash(base)


def limited(images: list[LabelledImage], run: DetectorRun) -> list[LabelledImage]:
    """Returns `run.limit` images, drawn by the seed: a smaller limit gives a subset."""
    order = np.random.default_rng(run.seed).permutation(len(images))
    return [images[i] for i in order[: run.limit]]


def _train(run: DetectorRun, out: Path, used: Split) -> dict[str, float]:
    """Returns the metrics; a run that fails before its first checkpoint leaves nothing behind."""
    steps = ceil(len(used.training) / run.batch)
    try:
        return train_network(run, write_yolo(used, out / "data"), out / "fit", steps=steps)
    except TrainError:
        if newest_checkpoint(out / "fit" / "weights") is None:
            (out / "begun.json").unlink()
            for name in REPLACED:
                shutil.rmtree(out / name, ignore_errors=True)
        raise


def _check_out(out: Path, data: Iterable[str]) -> None:
    """Raises a TrainError if the run would replace something that is not a run's."""
    if any("\ud800" <= letter <= "\udfff" for letter in str(out)):
        raise TrainError(f"--out {str(out)!a}: its name is not UTF-8")
    if (out / "run.json").is_file():
        raise TrainError(f"{out}: holds a finished run; choose another --out")
    for folder in data:
        if out.is_relative_to(Path(folder).resolve()):
            raise TrainError(f"--out {out}: is inside --data {folder}; choose another")
    others = [name for name in REPLACED if (out / name).exists()]
    if others and not (out / "begun.json").is_file():
        raise TrainError(f"--out {out}: holds {others[0]}, but no run; choose another")


def _file_hash(path: str) -> str:
    folder = Path(bundle_path(path))
    try:
        file = folder / "detector.onnx" if folder.is_dir() else Path(path)
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise TrainError(f"{path}: {error.strerror}") from error
