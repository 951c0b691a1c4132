"""What every format of labels gives, and what reading one needs."""

import math
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from plateid.capture.images import IMAGE_SUFFIXES
from plateid.core.records import Box
from plateid.errors import reason_of
from train.train_error import TrainError

PLATE = re.compile(r"(?<!tem)plate|licen[cs]e|(?<![a-z])lp(?![a-z])", re.IGNORECASE)
"""Names a class of plates, where a data set has several classes."""
TEST = "test"
"""A folder of this name is nobody's to learn from."""


@dataclass(frozen=True)
class LabelledBox:
    """What a label file says of one box.

    Attributes:
        xyxy: In pixels, or in parts of the picture's size where `ImageLabels.relative`.
        name: Of its class; "" where the format has none.
        text: What the plate says, as `normalise` gives it; "" where nobody transcribed it.
        legibility: As in labels.csv: clear, hard, partial, unreadable, notplate; "": not said.
        lines: Of its text.
    """

    xyxy: Box
    name: str = ""
    text: str = ""
    legibility: str = ""
    lines: str = "1"


@dataclass(frozen=True)
class ImageLabels:
    """What a label file says of one picture.

    Attributes:
        folder: The data set.
        path: The picture file.
        source: The file to name in messages.
        boxes: Of plates; as a format reads them, also of other classes.
        row: What else is known: `image`, and maybe `scene`, or `video` and `t`.
        relative: Whether boxes are in parts of the picture's size.
        size: (width, height) that the label file claims; None: it does not say.
        others: The class of each box that is no plate.
    """

    folder: Path
    path: Path
    source: Path
    boxes: tuple[LabelledBox, ...]
    row: dict[str, str]
    relative: bool = False
    size: tuple[int, int] | None = None
    others: tuple[str, ...] = ()


def below(folder: Path, *suffixes: str) -> list[Path]:
    """Files of a data set as `all_below`, less those of a test part."""
    return [path for path in all_below(folder, *suffixes) if not in_test(folder, path)]


def all_below(folder: Path, *suffixes: str) -> list[Path]:
    """Files of a data set that are not hidden; without suffixes, its pictures.

    A picture that is a link to nothing is one that cannot be read; of others nobody knows.
    """
    kinds = suffixes or IMAGE_SUFFIXES
    files = (Path(parent, name) for parent, _, names in walk(folder) for name in names)
    files = (path for path in files if path.suffix.lower() in kinds and path.name[0] != ".")
    return sorted(path for path in files if path.is_file() or not suffixes)


def walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """As `os.walk`, and into links, but each folder once, and none that is hidden.

    Raises:
        TrainError: A folder cannot be read.
    """

    def fail(error: OSError) -> None:
        raise TrainError(f"{error.filename}: {error.strerror}") from error

    known: set[str] = set()
    for parent, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        place = os.path.realpath(parent)
        folders[:] = sorted(name for name in folders if name[0] != "." and place not in known)
        if place not in known:
            known.add(place)
            yield parent, folders, files


def in_test(folder: Path, path: Path) -> bool:
    """Whether a path lies in a test part of its data set."""
    return any(name.lower() == TEST for name in path.relative_to(folder).parts)


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


def plate_classes(classes: set[str]) -> set[str]:
    """The only class of a data set whatever its name, or those whose names speak of plates."""
    return classes if len(classes) == 1 else {name for name in classes if PLATE.search(name)}


def text_of(file: Path, problems: list[str]) -> str:
    """The text of a file; empty where there is a problem."""
    try:
        return file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{file}: {reason_of(error)}")
        return ""
