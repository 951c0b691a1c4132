"""Writes rendered crops as a folder of images with labels, for `train evaluate --crops`."""

import csv
import shutil
from functools import partial
from pathlib import Path

import cv2

from train.synth.rendering import LabelledCrop, RenderPlan, render_in_processes
from train.train_error import TrainError

COLUMNS = ("image", "text", "lines", "region")


def write_crop_folder(folder: Path, count: int, *, seed: int, workers: int | None) -> None:
    """Fills a new folder with `labels.csv` and the plates among `count` crops.

    Use another seed than for the training of the reader. Raises TrainError if the folder exists or
    cannot be written.
    """
    try:
        if folder.exists():
            raise TrainError(f"{folder}: already exists")
        new = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        (new / "images").mkdir(parents=True)
        write = partial(_write, new / "images")
        with (new / "labels.csv").open("w", newline="", encoding="utf-8") as file:
            rows = render_in_processes(write, range(count), RenderPlan(seed, workers))
            csv.writer(file).writerows([COLUMNS, *filter(None, rows)])
        new.rename(folder)
    except OSError as error:
        raise TrainError(f"{folder}: {error.strerror}") from error


def _write(folder: Path, number: int, crop: LabelledCrop) -> tuple[str, str, int, str] | None:
    """Writes the image, and returns its row of labels.csv; None if the crop shows no plate."""
    if not crop.text:
        return None
    name = f"{number:06d}.png"
    (folder / name).write_bytes(cv2.imencode(".png", crop.image)[1].tobytes())
    return name, crop.text, 1 + max(crop.rows), crop.region
