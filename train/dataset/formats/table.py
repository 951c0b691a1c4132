"""This project's labels.csv: a row a plate, an empty box for a picture without one."""

import csv
import io
from collections import defaultdict
from pathlib import Path

from train.dataset.formats.labelled import Labelled, box, numbers, text_of

CORNERS = ("x1", "y1", "x2", "y2")


def find(folder: Path) -> list[Path]:
    """`labels.csv`."""
    return [file for file in (folder / "labels.csv",) if file.is_file()]


def read(folder: Path, files: list[Path], problems: list[str]) -> list[Labelled]:
    """The pictures that have a row; the others are not known to be without a plate."""
    (labels,) = files
    reader = csv.DictReader(io.StringIO(text_of(labels, problems), newline=""))
    columns = reader.fieldnames or ()
    needed = ("image", *CORNERS, *(("t",) if "video" in columns else ()))
    if missing := [name for name in needed if name not in columns]:
        problems.append(f"{labels}: no column {', '.join(missing)}")
        return []
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in reader:
        rows[row["image"]].append(row)
    found = (_picture(folder, labels, plates, problems) for _, plates in sorted(rows.items()))
    return [labelled for labelled in found if labelled]


def _picture(
    folder: Path, labels: Path, rows: list[dict[str, str]], problems: list[str]
) -> Labelled | None:
    name = rows[0]["image"]
    path = folder / "images" / name
    if not path.is_file():
        problems.append(f"{labels}: {name}: no such picture")
        return None
    try:
        boxes = [box(row[key] for key in CORNERS) for row in rows if any(map(row.get, CORNERS))]
        numbers(row["t"] for row in rows[:1] if "video" in row)
    except ValueError as error:
        problems.append(f"{labels}: {name}: {error}")
        return None
    return Labelled(folder, path, labels, tuple(boxes), rows[0])
