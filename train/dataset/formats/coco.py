"""COCO: one JSON file for all images (https://cocodataset.org/#format-data)."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, FiniteFloat, ValidationError

from train.dataset.formats.image_labels import (
    ImageLabels,
    LabelledBox,
    below,
    by_name,
    image_row,
    in_test,
)

KEYS = (b'"images"', b'"annotations"', b'"categories"')
"""Keys by which a JSON file is recognised as COCO."""


class _Image(BaseModel):
    id: int | str
    file_name: str
    width: int | None = None
    height: int | None = None


class _Annotation(BaseModel):
    """`bbox` is left, top, width, height in pixels."""

    image_id: int | str
    category_id: int
    bbox: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]


class _Category(BaseModel):
    id: int
    name: str
    supercategory: str | None = None


class _Coco(BaseModel):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]

    def classes(self) -> dict[int, str]:
        """Returns the names of the classes, without the unused root that Roboflow adds."""
        used = {annotation.category_id for annotation in self.annotations}
        roots = {category.supercategory for category in self.categories}
        return {c.id: c.name for c in self.categories if c.id in used or c.name not in roots}


def find(folder: Path) -> list[Path]:
    """Returns JSON files that have the three lists of COCO."""
    contents = ((file, file.read_bytes()) for file in below(folder, ".json"))
    return [file for file, content in contents if all(key in content for key in KEYS)]


def read(
    folder: Path, files: list[Path], problems: list[str]
) -> tuple[list[ImageLabels], set[str]]:
    """Reads the listed images and the classes; an image without a box has no plate."""
    labels, classes = list[ImageLabels](), set[str]()
    for file in files:
        try:
            coco = _Coco.model_validate_json(file.read_bytes())
        except ValidationError as error:
            reasons = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            problems += [f"{file}: {reason}" for reason in reasons]
            continue
        classes |= {*coco.classes().values()}
        labels += _labelled(folder, file, coco, problems)
    return labels, classes


def _labelled(folder: Path, file: Path, coco: _Coco, problems: list[str]) -> Iterator[ImageLabels]:
    images, boxes = by_name(below(folder)), _boxes(file, coco, problems)
    times = Counter(image.id for image in coco.images)
    problems += [f"{file}: image {id_} is listed {n} times" for id_, n in times.items() if n > 1]
    for image in coco.images:
        path = _path(folder, file, image.file_name, images)
        if path is None:
            problems.append(f"{file}: {image.file_name}: no such image")
            continue
        if folder in path.parents and in_test(folder, path):
            continue
        yield ImageLabels(
            folder=folder,
            path=path,
            source=file,
            boxes=tuple(boxes[image.id]),
            row=image_row(folder, path),
            size=(image.width, image.height) if image.width and image.height else None,
        )


def _boxes(file: Path, coco: _Coco, problems: list[str]) -> dict[int | str, list[LabelledBox]]:
    images, classes = {image.id for image in coco.images}, coco.classes()
    boxes: dict[int | str, list[LabelledBox]] = defaultdict(list)
    for annotation in coco.annotations:
        if annotation.image_id not in images:
            problems.append(f"{file}: a box of image {annotation.image_id}, which is not listed")
        elif annotation.category_id not in classes:
            problems.append(f"{file}: a box of class {annotation.category_id}, which is not listed")
        else:
            x, y, w, h = annotation.bbox
            named = LabelledBox((x, y, x + w, y + h), classes[annotation.category_id])
            boxes[annotation.image_id].append(named)
    return boxes


def _path(folder: Path, file: Path, name: str, images: dict[str, list[Path]]) -> Path | None:
    """Finds an image beside the JSON file, in images/, by its path, or by its unique name."""
    name = name.replace("\\", "/")
    parents = (file.parent, folder / "images", folder)
    likely = [Path(os.path.normpath(parent / name)) for parent in parents]
    named = images.get(PurePosixPath(name).name, [])
    return next((path for path in likely if path.is_file()), named[0] if len(named) == 1 else None)
