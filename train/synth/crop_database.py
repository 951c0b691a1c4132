"""Samples rendered once and read often: one SQLite file, of use to readers of any input."""

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
from rich.progress import track

from train.synth.rendering import LabelledCrop, render_crop
from train.train_error import TrainError

QUALITY = 97
"""Of the JPEG; most samples were one before, of less."""
COMMIT_EVERY = 256
SCHEMA = """CREATE TABLE IF NOT EXISTS samples
(id INTEGER PRIMARY KEY, jpeg BLOB, text TEXT, centres BLOB, rows TEXT, region TEXT);
CREATE TABLE IF NOT EXISTS begun (seed INTEGER);"""
Row = tuple[int, bytes, str, bytes, str, str]


class CropDatabase:
    """Rendered samples by their number."""

    def __init__(self, path: Path) -> None:
        """Opens the file of `fill_crop_database`.

        Raises:
            TrainError: It is missing, empty or no store.
        """
        try:
            self._file = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
            (self._count,) = self._file.execute("SELECT count(*) FROM samples").fetchone()
        except sqlite3.Error as error:
            raise TrainError(f"{path}: not a store of `train synth`: {error}") from error
        if not self._count:
            raise TrainError(f"{path}: holds no sample")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __len__(self) -> int:
        """How many."""
        return int(self._count)

    def __getitem__(self, index: int) -> LabelledCrop:
        """A sample; IndexError beyond the last."""
        row = self._file.execute("SELECT * FROM samples WHERE id = ?", (index,)).fetchone()
        if row is None:
            raise IndexError(index)
        _, jpeg, text, centres, rows, region = row
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        places = np.frombuffer(centres, np.float32).reshape(-1, 2)
        return LabelledCrop(
            np.asarray(image, np.uint8), text, places, tuple(json.loads(rows)), region
        )


def fill_crop_database(
    path: Path, count: int, *, seed: int = 0, workers: int | None = None
) -> None:
    """Renders until the file holds `count` samples; one that was cut off goes on.

    Args:
        path: The file.
        count: Samples in all.
        seed: Of all that is left to chance; the same number and seed give the same sample.
        workers: Processes; None: one a core.

    Raises:
        TrainError: The file cannot be written, is something else, or was begun with another seed.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA journal_mode = WAL")  # readers need not wait
            file.executescript(SCHEMA)
            _begin(file, path, seed)
            (done,) = file.execute("SELECT count(*) FROM samples").fetchone()
            with multiprocessing.get_context("spawn").Pool(workers or os.cpu_count()) as pool:
                rows = pool.imap(partial(_row, seed), range(done, count), chunksize=32)
                _insert(file, track(rows, "Rendering", total=max(0, count - done)))
    except (sqlite3.Error, OSError) as error:
        raise TrainError(f"{path}: {error}") from error


def _begin(file: sqlite3.Connection, path: Path, seed: int) -> None:
    (begun,) = file.execute("SELECT max(seed) FROM begun").fetchone()
    if begun not in (None, seed):
        raise TrainError(f"{path}: was begun with --seed {begun}; repeat that, or choose another")
    with file:
        file.execute("INSERT INTO begun SELECT ? WHERE NOT EXISTS (SELECT 1 FROM begun)", (seed,))


def _insert(file: sqlite3.Connection, rows: Iterable[Row]) -> None:
    for number, row in enumerate(rows, 1):
        file.execute("INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?)", row)
        if number % COMMIT_EVERY == 0:
            file.commit()
    file.commit()


def _row(seed: int, number: int) -> Row:
    cv2.setNumThreads(1)
    sample = render_crop(np.random.default_rng((seed, number)))
    jpeg = cv2.imencode(".jpg", sample.image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    rows = json.dumps(sample.rows)
    return number, jpeg, sample.text, sample.centres.tobytes(), rows, sample.region
