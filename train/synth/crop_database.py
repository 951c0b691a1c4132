"""Keeps rendered crops: in a SQLite file, which is faster than rendering, or as labelled images."""

import csv
import json
import shutil
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from plateid.core.drawing import encode_jpeg
from train.synth.rendering import LabelledCrop, RenderPlan, render_in_processes
from train.train_error import TrainError, os_errors

QUALITY = 97
"""JPEG quality (0-100): most crops have been JPEGs of a lower quality before."""
COMMIT_EVERY = 256
"""Number of crops in a transaction, and the maximum that an interruption loses."""
SCHEMA = """CREATE TABLE IF NOT EXISTS samples
(id INTEGER PRIMARY KEY, jpeg BLOB, text TEXT, centres BLOB, rows TEXT, region TEXT, corners BLOB);
CREATE TABLE IF NOT EXISTS begun (seed INTEGER);"""
"""Tables of a crop file: the crops, and the seed they are rendered with."""


class CropDatabase:
    """The rendered crops of a file, by their number."""

    def __init__(self, path: Path) -> None:
        """Opens a file that `fill_crop_database` wrote; raises TrainError for any other."""
        try:
            self._file = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
            (self._count,) = self._file.execute("SELECT count(corners) FROM samples").fetchone()
        except sqlite3.Error as error:
            raise TrainError(f"{path}: no file of `train synth --out`: {error}") from error
        if not self._count:
            raise TrainError(f"{path}: contains no crop")

    def __len__(self) -> int:
        return int(self._count)

    def __getitem__(self, number: int) -> LabelledCrop:
        cursor = self._file.execute("SELECT * FROM samples WHERE id = ?", (number,))
        _, jpeg, text, centres, rows, region, corners = cursor.fetchone()
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        points, quad = (np.frombuffer(b, np.float32).reshape(-1, 2) for b in (centres, corners))
        lines = tuple(json.loads(rows))
        return LabelledCrop(np.asarray(image, np.uint8), text, points, lines, region, quad)


def fill_crop_database(path: Path, count: int, plan: RenderPlan) -> None:
    """Renders crops until the file contains `count`; continues an interrupted file.

    Raises TrainError if the file cannot be written, is another kind of file, or has another seed.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA journal_mode = WAL")  # readers do not wait
            file.executescript(SCHEMA)
            (seed,) = file.execute("SELECT max(seed) FROM begun").fetchone()
            if seed not in (None, plan.seed):
                raise TrainError(f"{path}: has crops of --seed {seed}; use that, or another file")
            if seed is None:
                file.execute("INSERT INTO begun VALUES (?)", (plan.seed,))
            (done,) = file.execute("SELECT count(*) FROM samples").fetchone()
            for row in render_in_processes(_row, range(done, count), plan):
                file.execute("INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?)", row)
                if row[0] % COMMIT_EVERY == 0:
                    file.commit()
            file.commit()
    except (sqlite3.Error, OSError) as error:
        raise TrainError(f"{path}: {error}") from error


def _row(number: int, crop: LabelledCrop) -> tuple[int, bytes, str, bytes, str, str, bytes]:
    jpeg, rows = encode_jpeg(crop.image, QUALITY), json.dumps(crop.rows)
    centres, corners = crop.centres.tobytes(), crop.corners.tobytes()
    return number, jpeg, crop.text, centres, rows, crop.region, corners


COLUMNS = ("image", "text", "lines", "region")


def write_crop_folder(folder: Path, count: int, *, seed: int, workers: int | None) -> None:
    """Fills a new folder with `labels.csv` and the plates among `count` crops.

    Use another seed than for the training of the reader. Raises TrainError if the folder exists or
    cannot be written.
    """
    with os_errors(folder):
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


def _write(folder: Path, number: int, crop: LabelledCrop) -> tuple[str, str, int, str] | None:
    """Writes the image, and returns its row of labels.csv; None if the crop shows no plate."""
    if not crop.text:
        return None
    name = f"{number:06d}.png"
    (folder / name).write_bytes(cv2.imencode(".png", crop.image)[1].tobytes())
    return name, crop.text, crop.lines, crop.region
