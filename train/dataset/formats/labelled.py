"""What every format of labels gives, and what reading one needs."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from plateid.core.records import Box

PICTURES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
PLATE = re.compile(r"plate|licen[cs]e|(?<![a-z])lp(?![a-z])", re.IGNORECASE)
"""Names a class of plates, where a data set has several classes."""
TEST = "test"
"""A folder of this name is nobody's to learn from."""


@dataclass(frozen=True)
class Labelled:
    """What a label file says of one picture.

    Attributes:
        folder: The data set.
        path: The picture file; it exists.
        source: The file to name in messages.
        boxes: (x1, y1, x2, y2) of each plate, in pixels, or in parts of the picture's size where
            `relative`.
        row: What else is known: `image`, and maybe `scene`, or `video` and `t`.
        size: (width, height) that the label file claims; None: it does not say.
        others: The class of each box that is no plate.
    """

    folder: Path
    path: Path
    source: Path
    boxes: tuple[Box, ...]
    row: dict[str, str]
    relative: bool = False
    size: tuple[int, int] | None = None
    others: tuple[str, ...] = ()


def below(folder: Path, *suffixes: str) -> list[Path]:
    """Files of a data set, less those that are hidden or of a test part."""
    return [path for path in _below(folder, suffixes) if TEST not in path.relative_to(folder).parts]


def pictures_below(folder: Path) -> list[Path]:
    """All pictures of a data set, those of a test part included."""
    return _below(folder, PICTURES)


def _below(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.suffix.lower() in suffixes)
    return sorted(f for f in files if not any(n[0] == "." for n in f.relative_to(folder).parts))


def image_row(folder: Path, path: Path) -> dict[str, str]:
    """A row that says no more than which picture it is."""
    return {"image": path.relative_to(folder).as_posix() if folder in path.parents else path.name}


def by_name(paths: list[Path]) -> dict[str, list[Path]]:
    """Files by their names, and by their names without a suffix."""
    named: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        named[path.name].append(path)
        named[path.stem].append(path)
    return named


def numbers(values: Iterable[str | None]) -> tuple[float, ...]:
    """Finite numbers.

    Raises:
        ValueError: One is missing or no finite number.
    """
    parsed = tuple(float(value or "") for value in values)
    if not all(map(math.isfinite, parsed)):
        raise ValueError(f"not a finite number among {parsed}")
    return parsed


def box(values: Iterable[str | None]) -> Box:
    """Four finite numbers; raises as `numbers`."""
    x1, y1, x2, y2 = numbers(values)
    return x1, y1, x2, y2


def plate_classes(where: Path, names: Iterable[str], problems: list[str]) -> set[str]:
    """The only class of a data set whatever its name, or those whose names speak of plates."""
    classes = set(names)
    plates = classes if len(classes) == 1 else {name for name in classes if PLATE.search(name)}
    if classes and not plates:
        problems.append(f"{where}: no class of plates among {', '.join(sorted(classes))}")
    return plates


def text_of(file: Path, problems: list[str]) -> str:
    """The text of a file; empty where there is a problem."""
    try:
        return file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{file}: {error}")
        return ""
