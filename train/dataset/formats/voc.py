"""Pascal VOC: an XML file a picture. A picture without one has no plate."""

import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple, NoReturn
from xml.etree import ElementTree as ET

from plateid.core.records import Box
from train.dataset.formats.labelled import (
    PICTURES,
    Labelled,
    below,
    box,
    by_name,
    image_row,
    numbers,
    plate_classes,
)

ROOT = re.compile(rb"<annotation[\s>]")
CORNERS = ("xmin", "ymin", "xmax", "ymax")


class _File(NamedTuple):
    source: Path
    path: Path
    boxes: list[tuple[str, Box]]
    size: tuple[int, int]


class _NoDoctype(ET.TreeBuilder):
    """Refuses the part of XML that declares entities."""

    def doctype(self, name: str, *_: str | None) -> NoReturn:
        """Called by the parser."""
        raise ValueError(f"has a DOCTYPE ({name}), which is not read")


def find(folder: Path) -> list[Path]:
    """XML files that have an <annotation>."""
    return [file for file in below(folder, ".xml") if ROOT.search(file.read_bytes())]


def read(folder: Path, files: list[Path], problems: list[str]) -> list[Labelled]:
    """All pictures, and what the XML files say of them."""
    pictures = below(folder, *PICTURES)
    named = by_name(pictures)
    parsed = [each for file in files if (each := _parsed(file, named, problems))]
    plates = plate_classes(folder, (name for each in parsed for name, _ in each.boxes), problems)
    negatives = sorted(set(pictures) - {each.path for each in parsed})
    return [_labelled(folder, each, plates) for each in parsed] + [
        Labelled(folder, path, path, (), image_row(folder, path)) for path in negatives
    ]


def _labelled(folder: Path, file: _File, plates: set[str]) -> Labelled:
    return Labelled(
        folder=folder,
        path=file.path,
        source=file.source,
        boxes=tuple(box for name, box in file.boxes if name in plates),
        row=image_row(folder, file.path),
        size=file.size if all(file.size) else None,
        others=tuple(name for name, _ in file.boxes if name not in plates),
    )


def _parsed(file: Path, named: dict[str, list[Path]], problems: list[str]) -> _File | None:
    try:
        parser = ET.XMLParser(target=_NoDoctype())  # noqa: S314 - declares no entities
        root = ET.parse(file, parser).getroot()  # noqa: S314 - as above
        width, height = numbers(root.findtext(f"size/{name}", "0") for name in ("width", "height"))
        boxes = [_named_box(each) for each in root.iter("object")]
        path = _path(file, root.findtext("filename", ""), named)
    except (ET.ParseError, ValueError) as error:
        problems.append(f"{file}: {error}")
        return None
    return _File(file, path, boxes, (int(width), int(height)))


def _named_box(item: ET.Element) -> tuple[str, Box]:
    name = item.findtext("name", "").strip()
    try:
        return name, box(item.findtext(f"bndbox/{corner}") for corner in CORNERS)
    except ValueError as error:
        raise ValueError(f"{name}: its bndbox: {error}") from error


def _path(file: Path, filename: str, named: dict[str, list[Path]]) -> Path:
    """By the XML file's own name first: <filename> is often that of another time or computer."""
    name = PurePosixPath(filename.strip().replace("\\", "/")).name
    stems = named.get(file.stem, [])
    for choice in ([p for p in stems if p.parent == file.parent], stems, named.get(name, [])):
        if len(choice) == 1:
            return choice[0]
    raise ValueError(f"no such picture as {file.stem}.* or {name}, or more than one")
