"""A SQLite file of rendered crops: training reads them faster than it could render them."""

import json
import multiprocessing
import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from train.progress import tracked
from train.synth.rendering import LabelledCrop, render_crop
from train.train_error import TrainError

QUALITY = 97
"""JPEG quality (0-100): most crops have been JPEGs of a lower quality before."""
COMMIT_EVERY = 256
"""Crops in a transaction: an interruption loses at most so many."""
SCHEMA = """CREATE TABLE IF NOT EXISTS samples
(id INTEGER PRIMARY KEY, jpeg BLOB, text TEXT, centres BLOB, rows TEXT, region TEXT);
CREATE TABLE IF NOT EXISTS begun (seed INTEGER);"""
DatabaseRow = tuple[int, bytes, str, bytes, str, str]
"""The columns of the table `samples`."""


class CropDatabase:
    """The rendered crops of a file, by their number."""

    def __init__(self, path: Path) -> None:
        """Opens a file that `fill_crop_database` wrote.

        Raises:
            TrainError: The file is missing, empty or no database of crops.
        """
        try:
            self._file = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
            (self._count,) = self._file.execute("SELECT count(*) FROM samples").fetchone()
        except sqlite3.Error as error:
            raise TrainError(f"{path}: no file of `train synth --out`: {error}") from error
        if not self._count:
            raise TrainError(f"{path}: contains no crop")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __len__(self) -> int:
        """Returns the number of crops."""
        return int(self._count)

    def __getitem__(self, index: int) -> LabelledCrop:
        """Returns a crop; raises IndexError beyond the last."""
        row = self._file.execute("SELECT * FROM samples WHERE id = ?", (index,)).fetchone()
        if row is None:
            raise IndexError(index)
        _, jpeg, text, centres, rows, region = row
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        points = np.frombuffer(centres, np.float32).reshape(-1, 2)
        lines = tuple(json.loads(rows))
        return LabelledCrop(np.asarray(image, np.uint8), text, points, lines, region)


def fill_crop_database(
    path: Path, count: int, *, seed: int = 0, workers: int | None = None
) -> None:
    """Renders crops until the file contains `count`; continues an interrupted file.

    Args:
        path: The SQLite file.
        count: Number of crops in the file at the end.
        seed: Random seed; a crop depends on the seed and its number only.
        workers: Number of processes; None: one for each core.

    Raises:
        TrainError: The file cannot be written, is no such file, or has another seed.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA journal_mode = WAL")  # readers do not wait
            file.executescript(SCHEMA)
            _check_seed(file, path, seed)
            (done,) = file.execute("SELECT count(*) FROM samples").fetchone()
            with multiprocessing.get_context("spawn").Pool(workers or os.cpu_count()) as pool:
                rows = pool.imap(partial(_render_row, seed), range(done, count), chunksize=32)
                _insert(file, tracked(rows, "Rendering", total=max(0, count - done)))
    except (sqlite3.Error, OSError) as error:
        raise TrainError(f"{path}: {error}") from error


def _check_seed(file: sqlite3.Connection, path: Path, seed: int) -> None:
    """Records the seed of a new file; refuses another one."""
    (recorded,) = file.execute("SELECT max(seed) FROM begun").fetchone()
    if recorded not in (None, seed):
        raise TrainError(f"{path}: has crops of --seed {recorded}; use that, or another file")
    with file:
        file.execute("INSERT INTO begun SELECT ? WHERE NOT EXISTS (SELECT 1 FROM begun)", (seed,))


def _insert(file: sqlite3.Connection, rows: Iterable[DatabaseRow]) -> None:
    for number, row in enumerate(rows, 1):
        file.execute("INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?)", row)
        if number % COMMIT_EVERY == 0:
            file.commit()
    file.commit()


def _render_row(seed: int, number: int) -> DatabaseRow:
    cv2.setNumThreads(1)
    crop = render_crop(np.random.default_rng((seed, number)))
    jpeg = cv2.imencode(".jpg", crop.image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    rows = json.dumps(crop.rows)
    return number, jpeg, crop.text, crop.centres.tobytes(), rows, crop.region
