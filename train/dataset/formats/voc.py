"""Pascal VOC: one XML file per image. An image without one has no plate."""

import os
import re
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree as ET

from defusedxml.common import DTDForbidden
from defusedxml.ElementTree import parse

from train.dataset.formats.image_labels import (
    ImageLabels,
    LabelledBox,
    below,
    box,
    by_name,
    image_row,
    numbers,
)

ROOT = re.compile(rb"<annotation[\s>]")
"""The first element of an annotation file."""
CORNERS = ("xmin", "ymin", "xmax", "ymax")


def find(folder: Path) -> list[Path]:
    """Returns XML files that have an <annotation>."""
    return [file for file in below(folder, ".xml") if ROOT.search(file.read_bytes())]


def read(
    folder: Path, files: list[Path], problems: list[str]
) -> tuple[list[ImageLabels], set[str]]:
    """Reads all images, their XML files, and the classes."""
    images = below(folder)
    named = by_name(images)
    labels = [each for file in files if (each := _parsed(folder, file, named, problems))]
    negatives = sorted({*images} - {each.path for each in labels})
    labels += [ImageLabels(folder, path, path, (), image_row(folder, path)) for path in negatives]
    return labels, {box.name for each in labels for box in each.boxes}


def _parsed(
    folder: Path, file: Path, named: dict[str, list[Path]], problems: list[str]
) -> ImageLabels | None:
    try:
        root = parse(file, forbid_dtd=True).getroot()
        sides = (root.findtext(f"size/{name}", "").strip() or "0" for name in ("width", "height"))
        width, height = (int(side) for side in numbers(sides))
        path = _path(file, root.findtext("filename", ""), named)
        boxes = tuple(_named_box(each) for each in root.iter("object"))
    except DTDForbidden:
        problems.append(f"{file}: has a DOCTYPE, which is not supported")
        return None
    except (ET.ParseError, LookupError, ValueError) as error:
        problems.append(f"{file}: {error}")
        return None
    size = (width, height) if width and height else None
    return ImageLabels(folder, path, file, boxes, image_row(folder, path), size=size)


def _named_box(item: ET.Element) -> LabelledBox:
    name = item.findtext("name", "").strip()
    try:
        return LabelledBox(box(item.findtext(f"bndbox/{corner}") for corner in CORNERS), name)
    except ValueError as error:
        raise ValueError(f"{name}: its bndbox: {error}") from error


def _path(file: Path, filename: str, named: dict[str, list[Path]]) -> Path:
    """Finds the nearest image of the name of the XML file, else <filename>: often outdated."""

    def near(path: Path) -> tuple[bool, int]:
        shared = os.path.commonpath([path.parent, file.parent])
        return path.parent == file.parent, len(Path(shared).parts)

    name = PurePosixPath(filename.strip().replace("\\", "/")).name
    for choice in (named.get(file.stem, []), named.get(name, [])):
        most = max(map(near, choice), default=None)
        if len(nearest := [path for path in choice if near(path) == most]) == 1:
            return nearest[0]
    raise ValueError(f"no image {file.stem}.* or {name}, or several")
