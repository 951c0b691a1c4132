"""YOLO: one text file per image, one line per box: class, centre x, centre y, width, height.

Coordinates are normalised (0-1). A polygon (x and y of its corners) counts as its bounding box, as
in ultralytics. An image without a text file has no plate.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ValidationError

from train.dataset.formats.image_labels import (
    TEST,
    ImageLabels,
    LabelledBox,
    below,
    image_row,
    in_test,
    numbers,
    text_of,
    walk,
)

DATA = ("data.yaml", "data.yml", "dataset.yaml")
LISTS = ("classes.txt", "labels/classes.txt", "obj.names")
"""Files of class names, one per line, as LabelImg, Label Studio and CVAT write them."""
CLASSES = "data.yaml, classes.txt or obj.names"
"""Where classes are named, for messages."""


class _Data(BaseModel):
    """The keys of data.yaml, each value as text; `kpt_shape` may be an empty text."""

    names: dict[int, str] | list[str]
    kpt_shape: list[int] | Literal["", "~", "null"] = ""


def find(folder: Path) -> list[Path]:
    """Returns `data.yaml`, folders named `labels` of this format, and text files beside images."""
    named = [folder / name for name in DATA if (folder / name).is_file()]
    inside = (Path(parent, "labels") for parent, names, _ in walk(folder) if "labels" in names)
    folders = [
        path
        for path in inside
        if not in_test(folder, path) and (below(path, ".txt") or not below(path, ".xml", ".json"))
    ]
    labels = (label for path in below(folder) if (label := _label(path)).is_file())
    return named + folders + [label for label in labels if not {*folders} & {*label.parents}]


def _homes(folder: Path) -> list[Path]:
    """Returns folders that may name classes: for `test` and `images/test`, the one above too."""
    above = folder.absolute().parent
    above = above.parent if above.name == "images" else above
    return [folder, *([above] if folder.name.lower() == TEST else [])]


def read(
    folder: Path, files: list[Path], problems: list[str]
) -> tuple[list[ImageLabels], set[str]]:
    """Reads all images and the classes; a label file without an image is a problem."""
    homes = (home / name for home in _homes(folder) for name in DATA)
    data = next((file for file in homes if file.is_file()), files[0])
    names = _names(folder, data, problems)
    labels = [
        ImageLabels(
            folder=folder,
            path=path,
            source=label,
            boxes=tuple(_boxes(label, names, problems)) if names and label.is_file() else (),
            row=image_row(folder, path),
            is_normalised=True,
        )
        for path in below(folder)
        for label in [_label(path)]
    ]
    texts = {*below(folder, ".txt")} - {each.source for each in labels}
    problems += [
        f"{file}: labels without an image"
        for file in sorted(texts)
        if file.name != "classes.txt"
        and ("labels" in file.relative_to(folder).parts or _is_label(file))
    ]
    return labels, {*names.values()}


def _names(folder: Path, file: Path, problems: list[str]) -> dict[int, str]:
    """Returns the classes of data.yaml or a list; without either, class 0 is a plate."""
    if file.name in DATA:
        try:
            table = yaml.load(text_of(file, problems), yaml.BaseLoader)  # noqa: S506 - no objects
            data = _Data.model_validate(table)
        except ValidationError as error:  # its text would write out each alias
            reasons = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            problems.append(f"{file}: no class names: {'; '.join(reasons)}")
            return {}
        except (yaml.YAMLError, RecursionError) as error:
            problems.append(f"{file}: no class names: {' '.join(str(error).split())}")
            return {}
        if isinstance(data.kpt_shape, list):
            problems.append(f"{file}: kpt_shape: keypoint labels are not supported")
            return {}
        names = data.names if isinstance(data.names, dict) else dict(enumerate(data.names))
    else:
        lists = (home / name for home in _homes(folder) for name in LISTS)
        listed = next((file for file in lists if file.is_file()), None)
        file, lines = listed or file, text_of(listed, problems) if listed else "unnamed"
        names = dict(enumerate(line.strip() for line in lines.strip().splitlines()))
    if not names:
        problems.append(f"{file}: names no class")
    return names


def _label(image: Path) -> Path:
    """Returns the label file of an image: beside it, or with the last `images` as `labels`."""
    beside = image.with_suffix(".txt")
    parts = list((beside if "images" in beside.parts else beside.absolute()).parts)
    if beside.is_file() or "images" not in parts:
        return beside
    parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return Path(*parts)


def _is_label(file: Path) -> bool:
    """Whether the first line of a file is a box."""
    try:
        kind, *parts = numbers(file.read_text(errors="replace").split("\n", 1)[0].split())
    except (OSError, ValueError):
        return False
    return kind.is_integer() and len(parts) >= 4 and all(0 <= part <= 1 for part in parts)


def _boxes(label: Path, names: dict[int, str], problems: list[str]) -> Iterator[LabelledBox]:
    for number, line in enumerate(text_of(label, problems).splitlines(), 1):
        try:
            if words := line.split():
                yield _box(words, names)
        except ValueError as error:
            problems.append(f"{label}:{number}: {error}")


def _box(words: list[str], names: dict[int, str]) -> LabelledBox:
    if len(words) != 5 and (len(words) < 7 or len(words) % 2 == 0):
        raise ValueError(
            f"{len(words)} numbers, not class, centre x, centre y, width, height, or a polygon"
        )
    kind, *values = numbers(words)
    if kind not in names:
        known = ", ".join(f"{number} ({name})" for number, name in names.items())
        raise ValueError(f"class {words[0]}, but the classes are {known}; name them in {CLASSES}")
    if len(words) == 5:
        x, y, width, height = values
        xyxy = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    else:
        xs, ys = values[::2], values[1::2]
        xyxy = min(xs), min(ys), max(xs), max(ys)
    return LabelledBox(xyxy, names[int(kind)])
