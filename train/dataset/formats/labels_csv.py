"""This project's labels.csv: a row a plate, an empty box for a picture without one.

What `texts.csv` beside it says of the same boxes goes before.
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
WHOLE = (0.0, 0.0, 1.0, 1.0)
UNREAD = {*"?*_"}
"""What people write for a character that they cannot read."""
Row = dict[str, str]


def find(folder: Path) -> list[Path]:
    """`labels.csv`."""
    return [file for file in (folder / "labels.csv",) if file.is_file()]


def read(
    folder: Path, files: list[Path], problems: list[str], *, cut_out: bool = False
) -> tuple[list[ImageLabels], set[str]]:
    """The pictures that have a row; the others are not known to be without a plate.

    With `cut_out`, a picture is a plate as a whole where there are no columns of corners.
    """
    (labels,), texts = files, folder / "texts.csv"
    by_image = defaultdict(list)
    for row, plate in _rows(labels, problems, cut_out=cut_out):
        by_image[row["image"]].append((row, plate))
    rows = _rows(texts, problems, "text") if texts.is_file() else ()
    said = {(row["image"], plate.xyxy): plate for row, plate in rows if plate}
    found = []
    for image, plates in sorted(by_image.items()):
        path, row = folder / "images" / image, plates[0][0]
        boxes = tuple(said.pop((image, each.xyxy), each) for _, each in plates if each)
        found.append(ImageLabels(folder, path, labels, boxes, row, relative="x1" not in row))
    problems += [f"{texts}: {image}: {labels} has no box {xyxy}" for image, xyxy in said]
    return found, {""}


def _rows(
    file: Path, problems: list[str], *needed: str, cut_out: bool = False
) -> Iterator[tuple[Row, LabelledBox | None]]:
    """The rows, and the plate of each; None: its picture has none."""
    known = len(problems)
    text = io.StringIO(text_of(file, problems), newline="")
    reader = csv.DictReader(text, restval="", strict=True)
    if len(problems) > known:
        return
    try:
        yield from _read(reader, file, problems, needed, cut_out=cut_out)
    except csv.Error as error:
        problems.append(f"{file}: after line {reader.line_num}: is not CSV: {error}")


def _read(
    reader: "csv.DictReader[str]",
    file: Path,
    problems: list[str],
    needed: tuple[str, ...],
    *,
    cut_out: bool,
) -> Iterator[tuple[Row, LabelledBox | None]]:
    columns = reader.fieldnames or ()
    corners = () if cut_out and not {*CORNERS} & {*columns} else CORNERS
    needed = ("image", *corners, *needed, *(("t",) if "video" in columns else ()))
    if missing := [name for name in needed if name not in columns]:
        problems.append(f"{file}: no column {', '.join(missing)}")
        return
    for row in reader:
        try:
            plate = _plate(row)
        except ValueError as error:
            problems.append(f"{file}:{reader.line_num}: {row['image']}: {error}")
        else:
            path = Path(file.parent, "images", row["image"])
            if not (file.parent in path.parents and in_test(file.parent, path)):
                yield row, plate


def _plate(row: Row) -> LabelledBox | None:
    """The plate of a row, if it has one.

    Raises:
        ValueError: No picture is named, a corner or a time is no number, or the text is not whole.
    """
    if not row["image"]:
        raise ValueError("no picture is named")
    numbers([row["t"]] if row.get("video") else [])
    if unread := sorted({*row.get("text", "")} & UNREAD):
        raise ValueError(f"text {row['text']!r}: leave out a text with {' '.join(unread)}")
    corners = [row[key] for key in CORNERS if key in row]
    if corners and not any(corners):
        return None
    return LabelledBox(
        box(corners) if corners else WHOLE,
        text=normalise(row.get("text", "")),
        legibility=row.get("legibility", ""),
        lines=row.get("lines") or "1",
    )
