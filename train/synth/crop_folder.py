"""Rendered plates as a folder of pictures: to look at, and for `train evaluate --crops`."""

import csv
import multiprocessing
import os
import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from train.synth.appearance import AppearanceLimits
from train.synth.rendering import LabelledCrop, render_crop
from train.train_error import TrainError

COLUMNS = ("image", "text", "lines", "region")
Row = tuple[str, str, int, str]


def write_crop_folder(
    folder: Path,
    count: int,
    *,
    like: AppearanceLimits | None = None,
    seed: int = 0,
    workers: int | None = None,
) -> None:
    """Fills a new folder with pictures of plates and `labels.csv`.

    Args:
        folder: Where to.
        count: Samples to render; those that show no plate are left out.
        like: Where given, plates that look otherwise are left out as well, and those of no country.
        seed: Another one than that of the samples that a reader was trained with.
        workers: Processes; None: one a core.

    Raises:
        TrainError: The folder is there already, or cannot be written.
    """
    try:
        if folder.exists():
            raise TrainError(f"{folder}: is there already")
        new = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        (new / "images").mkdir(parents=True)
        with multiprocessing.get_context("spawn").Pool(workers or os.cpu_count()) as pool:
            rows = pool.imap(
                partial(_write, new / "images", like, seed), range(count), chunksize=32
            )
            _label(new / "labels.csv", track(rows, "Rendering", total=count))
        new.rename(folder)
    except OSError as error:
        raise TrainError(f"{folder}: {error.strerror}") from error


def _label(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows(row for row in rows if row[1])


def _write(folder: Path, like: AppearanceLimits | None, seed: int, number: int) -> Row:
    cv2.setNumThreads(1)
    sample = render_crop(np.random.default_rng((seed, number)))
    name = f"{number:06d}.png"
    if not _wanted(sample, like):
        return name, "", 1, ""
    (folder / name).write_bytes(cv2.imencode(".png", sample.image)[1].tobytes())
    return name, sample.text, 1 + max(sample.rows), sample.region


def _wanted(sample: LabelledCrop, like: AppearanceLimits | None) -> bool:
    return bool(sample.text) and (
        like is None or (sample.region != "" and like.accepts(sample.image))
    )
