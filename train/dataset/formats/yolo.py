"""YOLO: a text file a picture, a line a box: class, centre x, centre y, width, height.

The four are parts of the picture's size. A picture without a text file has no plate.
"""

from pathlib import Path

import yaml  # type: ignore[import-untyped]
from pydantic import BaseModel, ValidationError

from plateid.core.records import Box
from train.dataset.formats.labelled import (
    PICTURES,
    TEST,
    Labelled,
    below,
    image_row,
    numbers,
    plate_classes,
    text_of,
)

DATA = ("data.yaml", "data.yml", "dataset.yaml")
CLASSES = "classes.txt"
"""Names of the classes, one a line, as LabelImg and Label Studio write them."""


class _Data(BaseModel):
    names: dict[int, str] | list[str]


def find(folder: Path) -> list[Path]:
    """`data.yaml`, folders named `labels`, and text files beside pictures."""
    named = [folder / name for name in DATA if (folder / name).is_file()]
    inside = (path for path in sorted(folder.rglob("labels")) if path.is_dir())
    folders = [path for path in inside if TEST not in path.relative_to(folder).parts]
    beside = (path.with_suffix(".txt") for path in below(folder, *PICTURES))
    return named + folders + [label for label in beside if label.is_file()]


def read(folder: Path, files: list[Path], problems: list[str]) -> list[Labelled]:
    """All pictures; labels without a picture are problems."""
    names = _names(folder, files[0], problems)
    plates = plate_classes(folder, names.values(), problems)
    labels = {path: _label(folder, path) for path in below(folder, *PICTURES)}
    strays = set(_label_files(folder)) - set(labels.values())
    problems += [f"{file}: labels without a picture" for file in sorted(strays)]
    found = []
    for path, label in labels.items():
        boxes = _boxes(label, names, problems) if label.is_file() and plates else []
        found.append(
            Labelled(
                folder=folder,
                path=path,
                source=label,
                boxes=tuple(box for name, box in boxes if name in plates),
                row=image_row(folder, path),
                relative=True,
                others=tuple(name for name, _ in boxes if name not in plates),
            )
        )
    return found


def _names(folder: Path, file: Path, problems: list[str]) -> dict[int, str]:
    """The classes by data.yaml or classes.txt; where there is neither, 0 is a plate."""
    if file.name in DATA:
        try:
            names = _Data.model_validate(yaml.safe_load(text_of(file, problems))).names
        except (yaml.YAMLError, ValidationError) as error:
            problems.append(f"{file}: no names of classes: {' '.join(str(error).split())}")
            return {}
        return names if isinstance(names, dict) else dict(enumerate(names))
    lists = (folder / CLASSES, folder / "labels" / CLASSES)
    lines = next((text_of(path, problems) for path in lists if path.is_file()), "plate")
    return dict(enumerate(line.strip() for line in lines.strip().splitlines()))


def _label(folder: Path, picture: Path) -> Path:
    """As ultralytics finds it: the last `images` of the path becomes `labels`."""
    parts = list(picture.relative_to(folder).with_suffix(".txt").parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return folder.joinpath(*parts)


def _label_files(folder: Path) -> list[Path]:
    texts = (path for path in below(folder, ".txt") if path.name != CLASSES)
    return [path for path in texts if "labels" in path.relative_to(folder).parts]


def _boxes(label: Path, names: dict[int, str], problems: list[str]) -> list[tuple[str, Box]]:
    """The name and the corners of each box."""
    boxes = []
    for number, line in enumerate(text_of(label, problems).splitlines(), 1):
        if line.strip():
            try:
                boxes.append(_parsed(line.split(), names))
            except ValueError as error:
                problems.append(f"{label}:{number}: {error}")
    return boxes


def _parsed(words: list[str], names: dict[int, str]) -> tuple[str, Box]:
    if len(words) != 5:
        raise ValueError(
            f"{len(words)} numbers, not class, centre x, centre y, width, height; no polygons"
        )
    kind, x, y, width, height = numbers(words)
    if kind not in names:
        known = ", ".join(f"{number} ({name})" for number, name in names.items())
        raise ValueError(f"class {words[0]}, but the classes are {known}; name them in data.yaml")
    return names[int(kind)], (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
