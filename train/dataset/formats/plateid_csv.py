"""plateid's labels.csv: one row per plate, with an empty box for an image without a plate.

`texts.csv` beside it replaces the texts of the same boxes.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from plateid.core.text import normalise
from train.dataset.formats.image_labels import (
    ImageLabels,
    LabelledBox,
    box,
    in_test,
    numbers,
    text_of,
)

CORNERS = ("x1", "y1", "x2", "y2")
"""Columns of a box, pixels."""
WHOLE_IMAGE = (0.0, 0.0, 1.0, 1.0)
"""Box of a plate crop that has no corners."""
ILLEGIBLE = {*"?*_"}
"""Placeholders for a character that cannot be read."""
Row = dict[str, str]


def find(folder: Path) -> list[Path]:
    """Returns `labels.csv` if it is there."""
    return [file for file in (folder / "labels.csv",) if file.is_file()]


def read(
    folder: Path, files: list[Path], problems: list[str], *, crops: bool = False
) -> tuple[list[ImageLabels], set[str]]:
    """Reads the images that have a row; whether the others show a plate is not known.

    With `crops` and no columns of corners, each image is a cropped plate.
    """
    (labels,), texts = files, folder / "texts.csv"
    by_image = defaultdict(list)
    for row, plate in _rows(labels, problems, crops=crops):
        by_image[row["image"]].append((row, plate))
    rows = _rows(texts, problems, "text") if texts.is_file() else ()
    transcribed = {(row["image"], plate.xyxy): plate for row, plate in rows if plate}
    found = []
    for image, plates in sorted(by_image.items()):
        path, row = folder / "images" / image, plates[0][0]
        boxes = tuple(transcribed.pop((image, each.xyxy), each) for _, each in plates if each)
        found.append(ImageLabels(folder, path, labels, boxes, row, is_normalised="x1" not in row))
    problems += [f"{texts}: {image}: {labels} has no box {xyxy}" for image, xyxy in transcribed]
    return found, {""}


def _rows(
    file: Path, problems: list[str], *needed: str, crops: bool = False
) -> Iterator[tuple[Row, LabelledBox | None]]:
    """Yields the rows and the plate of each; None: the image has none."""
    known = len(problems)
    text = io.StringIO(text_of(file, problems), newline="")
    reader = csv.DictReader(text, restval="", strict=True)
    if len(problems) > known:
        return
    try:
        columns = reader.fieldnames or ()
        corners = () if crops and not {*CORNERS} & {*columns} else CORNERS
        needed = ("image", *corners, *needed, *(("t",) if "video" in columns else ()))
        if missing := [name for name in needed if name not in columns]:
            problems.append(f"{file}: no column {', '.join(missing)}")
            return
        for row in reader:
            path = Path(file.parent, "images", row["image"])
            try:
                plate = _plate(row)
            except ValueError as error:
                problems.append(f"{file}:{reader.line_num}: {row['image']}: {error}")
                continue
            if not (file.parent in path.parents and in_test(file.parent, path)):
                yield row, plate
    except csv.Error as error:
        problems.append(f"{file}: after line {reader.line_num}: is not CSV: {error}")


def _plate(row: Row) -> LabelledBox | None:
    if not row["image"]:
        raise ValueError("names no image")
    numbers([row["t"]] if row.get("video") else [])
    if illegible := sorted({*row.get("text", "")} & ILLEGIBLE):
        raise ValueError(f"text {row['text']!r}: leave a text with {' '.join(illegible)} empty")
    corners = [row[key] for key in CORNERS if key in row]
    if corners and not any(corners):
        return None
    return LabelledBox(
        box(corners) if corners else WHOLE_IMAGE,
        text=normalise(row.get("text", "")),
        legibility=row.get("legibility", ""),
        lines=row.get("lines") or "1",
    )
