"""The record that every label format gives, and helpers to read one."""

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
"""Pattern of the name of a class of plates, in a data set with several classes."""
TEST = "test"
"""Name of a folder whose images are never used."""


@dataclass(frozen=True)
class LabelledBox:
    """A labelled box."""

    xyxy: Box  # pixels, or normalised coordinates (0-1) if `ImageLabels.is_normalised`
    name: str = ""  # of its class; "" if the format has none
    text: str = ""  # as `normalise` returns it; "" if it has no transcription
    legibility: str = ""  # clear, hard, partial, unreadable or notplate; "": not given
    lines: str = "1"


@dataclass(frozen=True)
class ImageLabels:
    """The labels of an image."""

    folder: Path  # of the data set
    path: Path
    source: Path  # the label file, for messages
    boxes: tuple[LabelledBox, ...]  # of plates; as a format reads them, of other classes as well
    row: dict[str, str]  # other columns: `image`, and possibly `scene`, or `video` and `t`
    is_normalised: bool = False  # whether boxes are in normalised coordinates (0-1)
    size: tuple[int, int] | None = None  # width and height by the label file; None: not given
    other_classes: tuple[str, ...] = ()  # the class of each box that is not a plate


def below(folder: Path, *suffixes: str) -> list[Path]:
    """Returns the files of `all_below`, without those of a test part."""
    return [path for path in all_below(folder, *suffixes) if not in_test(folder, path)]


def all_below(folder: Path, *suffixes: str) -> list[Path]:
    """Returns the files of a data set that are not hidden; without suffixes, its images.

    A broken link counts as an image, so that it is reported.
    """
    kinds = suffixes or IMAGE_SUFFIXES
    files = (Path(parent, name) for parent, _, names in walk(folder) for name in names)
    files = (path for path in files if path.suffix.lower() in kinds and path.name[0] != ".")
    return sorted(path for path in files if path.is_file() or not suffixes)


def walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yields as `os.walk`, follows links, and visits each folder once and no hidden one."""

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
    """Whether a path is in a test part of its data set."""
    return any(name.lower() == TEST for name in path.relative_to(folder).parts)


def image_row(folder: Path, path: Path) -> dict[str, str]:
    """Returns a row that only names the image."""
    return {"image": path.relative_to(folder).as_posix() if folder in path.parents else path.name}


def by_name(paths: list[Path]) -> dict[str, list[Path]]:
    """Returns files by name, with and without the suffix."""
    named: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        named[path.name].append(path)
        named[path.stem].append(path)
    return named


def numbers(values: Iterable[str | None]) -> tuple[float, ...]:
    """Parses finite numbers; raises ValueError if one is missing, no number or not finite."""
    parsed = tuple(float(value or "") for value in values)
    if not all(map(math.isfinite, parsed)):
        raise ValueError(f"not a finite number among {parsed}")
    return parsed


def box(values: Iterable[str | None]) -> Box:
    """Parses a box; raises as `numbers`."""
    x1, y1, x2, y2 = numbers(values)
    return x1, y1, x2, y2


def plate_classes(classes: set[str]) -> set[str]:
    """Returns the only class of a data set, or the classes whose names match `PLATE`."""
    return classes if len(classes) == 1 else {name for name in classes if PLATE.search(name)}


def text_of(file: Path, problems: list[str]) -> str:
    """Returns the text of a file; empty if there is a problem."""
    try:
        return file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{file}: {reason_of(error)}")
        return ""
