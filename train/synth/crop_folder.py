"""Writes rendered crops as a folder of images with labels, for `train evaluate --crops`."""

import csv
import multiprocessing
import os
import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from train.progress import tracked
from train.synth.appearance import AppearanceLimits
from train.synth.rendering import LabelledCrop, render_crop
from train.train_error import TrainError

COLUMNS = ("image", "text", "lines", "region")
LabelRow = tuple[str, str, int, str]
"""The columns of labels.csv; an empty text: the crop was not written."""


def write_crop_folder(
    folder: Path,
    count: int,
    *,
    like: AppearanceLimits | None = None,
    seed: int = 0,
    workers: int | None = None,
) -> None:
    """Fills a new folder with images of plates and `labels.csv`.

    Args:
        folder: The folder; it must not exist.
        count: Number of crops to render; crops without a plate are not written.
        like: Only plates of a country within these limits are written; None: all plates.
        seed: Random seed; use another one than for the training of the reader.
        workers: Number of processes; None: one for each core.

    Raises:
        TrainError: The folder exists, or cannot be written.
    """
    try:
        if folder.exists():
            raise TrainError(f"{folder}: already exists")
        new = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        (new / "images").mkdir(parents=True)
        with multiprocessing.get_context("spawn").Pool(workers or os.cpu_count()) as pool:
            rows = pool.imap(
                partial(_write, new / "images", like, seed), range(count), chunksize=32
            )
            _write_labels(new / "labels.csv", tracked(rows, "Rendering", total=count))
        new.rename(folder)
    except OSError as error:
        raise TrainError(f"{folder}: {error.strerror}") from error


def _write_labels(path: Path, rows: Iterable[LabelRow]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows(row for row in rows if row[1])


def _write(folder: Path, like: AppearanceLimits | None, seed: int, number: int) -> LabelRow:
    cv2.setNumThreads(1)
    crop = render_crop(np.random.default_rng((seed, number)))
    name = f"{number:06d}.png"
    if not _is_wanted(crop, like):
        return name, "", 1, ""
    (folder / name).write_bytes(cv2.imencode(".png", crop.image)[1].tobytes())
    return name, crop.text, 1 + max(crop.rows), crop.region


def _is_wanted(crop: LabelledCrop, like: AppearanceLimits | None) -> bool:
    if not crop.text or like is None:
        return bool(crop.text)
    return bool(crop.region) and like.accepts(crop.image)
